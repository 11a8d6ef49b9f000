#include "server/session.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>
#include <vector>

#include "codec/column_reader.hpp"

namespace simdrive::server {
namespace {

using std::chrono::duration;

// A larger answer is sent piece by piece, as the socket takes it.
constexpr std::uint64_t kInlineReply = std::uint64_t{112} << 10;
// So much is sent before more is made: it fits in the memory that connections share.
constexpr std::size_t kSendFrom = std::size_t{60} << 10;
// Bytes of answers that one connection makes in its turn.
constexpr std::int64_t kTurnBytes = std::int64_t{256} << 10;
// Bytes that one connection receives in its turn.
constexpr std::size_t kTurnReceive = std::size_t{1} << 20;
// Payloads that are longer are checked on another thread: this many bytes take well under a millisecond.
constexpr std::uint64_t kCheckInline = std::uint64_t{4} << 20;
// Longer arguments, and more items, are for another thread. Arguments of reads stand for far more work.
constexpr std::size_t kWriteInline = (std::size_t{1} << 20) + (std::size_t{4} << 10);
constexpr std::size_t kReadInline = std::size_t{64} << 10;
constexpr std::uint64_t kItemsInline = 16384;
// After shorter arguments there is no memory worth giving back.
constexpr std::size_t kTrimFrom = std::size_t{4} << 10;
// Requests that wait for one that is being carried out: more are not read.
constexpr std::size_t kMostWaiting = 1024;
constexpr std::uint64_t kMostWaitingBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kWaitingCost = 256;
constexpr std::int64_t kReplyCost = 64;
// How long the peer has to answer a Close frame or to take an HTTP answer.
constexpr std::chrono::seconds kLinger{2};
// The same while the server stops: a client that is idle need not look at what comes until its next call.
constexpr std::chrono::milliseconds kDrainLinger{250};
constexpr std::uint16_t kTooBig = 1009;
constexpr unsigned kTooManyHeaders = 431;
// A longer time between two looks at the clock: the process was stopped, or the machine suspended.
constexpr std::chrono::seconds kPause{2};

double seconds(net::TimePoint from, net::TimePoint to) noexcept { return duration<double>(to - from).count(); }

net::ServerSocketLimits socket_limits(const ServerLimits& limits) noexcept {
  return {limits.max_header_bytes, limits.max_headers, limits.max_frame, limits.max_message};
}

rpc::RequestLimits request_limits(const ServerLimits& limits) noexcept {
  rpc::RequestLimits out;
  out.max_frame = limits.max_message;  // a frame may be as long as the message that brings it
  out.max_request = limits.max_request;
  out.max_unfinished = limits.max_unfinished;
  out.max_streams = limits.max_streams;
  out.max_early_bytes = limits.max_early_bytes;
  out.max_idle_frames = limits.max_idle_frames;
  return out;
}

bool gives_payloads(Call call) noexcept { return call == Call::read || call == Call::batch_read; }

bool takes_long(Call call, BytesView args, const Backend& backend) noexcept {
  const bool write = is_write(call);
  if (args.size() > (write ? kWriteInline : kReadInline) || (write && backend.writes_may_wait())) return true;
  if (call != Call::batch_read && call != Call::batch_write) return false;
  // Packed, each byte may stand for eight items.
  std::uint64_t items = 0;
  return args.size() > kItemsInline / 8 && codec::ColumnReader(args).length(items) && items > kItemsInline;
}

}  // namespace

SessionHost::SessionHost(Shared& all, std::shared_ptr<net::ServerSocket::Timers> common)
    : shared(all),
      timers(std::move(common)),
      calls(all.backend, all.limits),
      receive_buffer(std::size_t{64} << 10),
      scratch(all.limits) {}

Payloads& SessionHost::payloads() {
  if (!spare_payloads) spare_payloads = shared.backend.make_payloads();
  return *spare_payloads;
}

Session::Session(SessionHost& host, net::Accepted accepted, NoRoom no_room, net::TimePoint now)
    : host_(host),
      shared_(host.shared),
      peer_(std::move(accepted.peer)),
      socket_(std::move(accepted.socket), socket_limits(host.shared.limits), *this, host.timers),
      charge_(host.shared),
      now_(now),
      ticked_at_(now),
      accepted_at_(now),
      chunk_at_(now),
      last_sign_(now),
      last_ping_(now),
      stalled_since_(now),
      short_since_(now),
      no_room_(no_room) {
  host_.metrics.connections.add();
}

Session::~Session() {
  count_traffic();
  shared_.unfinished.fetch_sub(counted_unfinished_, std::memory_order_relaxed);
  host_.metrics.connections.set(host_.metrics.connections.get() - 1);
}

// ---- What the reactor calls ----

void Session::turn(bool readable, net::TimePoint now) {
  if (dead_) return;
  now_ = now;
  turn_begins_ = true;
  budget_ = kTurnBytes;
  if ((readable || socket_.more_to_receive()) && may_read()) {
    if (socket_.receive(kTurnReceive) != 0) last_sign_ = now;
  }
  go_on();
}

void Session::work_done(net::TimePoint now) {
  now_ = now;
  budget_ = kTurnBytes;
  working_ = false;
  working_bytes_ = 0;
  const std::unique_ptr<Work> work = std::move(work_);
  if (!dead_) reply(work->request, work->call, work->answer, &work->payloads);
  if (!production_) charge_.set(0);
  give_back(std::move(work->payloads));
  if (!dead_) go_on();
}

// The peer is not to answer for time in which nobody looked at what it said. A part counts: however busy the thread
// is, the limits come to their end.
void Session::skip_pause(net::TimePoint now) noexcept {
  const auto passed = now - std::exchange(ticked_at_, now);
  if (passed <= kPause) return;
  const auto skipped = passed - kPause;
  for (net::TimePoint* since : {&accepted_at_, &last_sign_, &last_ping_, &stalled_since_, &short_since_}) {
    *since = std::min(*since + skipped, now);
  }
}

void Session::tick(net::TimePoint now) {
  if (dead_) return;
  now_ = now;
  skip_pause(now);
  const ServerLimits& limits = shared_.limits;
  if (now >= closing_until_) return die();
  if (!socket_.upgraded() && !http_answered_ && !closing_) {
    if (seconds(accepted_at_, now) >= limits.handshake_timeout) {
      breach(Limit::handshake, "no upgrade within handshake_timeout");
      host_.metrics.cut.add();
      return die();
    }
    return;
  }
  const std::uint64_t sent = socket_.bytes_sent();
  const bool replying = production_ || socket_.unsent() != 0;
  if (!replying || sent != sent_at_tick_) {
    sent_at_tick_ = sent;
    stalled_since_ = now;
  } else if (seconds(stalled_since_, now) >= limits.stall_timeout) {
    cut(Limit::stall, 1013, "replies were not taken within stall_timeout");
    return die();
  }
  if (closing_ || ended_ || http_answered_) return;
  count_unfinished();
  if (replying || !may_read()) {
    // A ping would wait behind the replies, and so would its pong; or what it says waits for us, not for it.
    last_sign_ = now;
    if (short_ && !busy() && waiting_.empty() && seconds(short_since_, now) >= limits.stall_timeout) {
      cut(Limit::unfinished_total, 1013, "the server holds too much of requests that are not complete");
      go_on();
    }
    return;
  }
  const double silent = seconds(last_sign_, now);
  if (silent >= limits.silence_timeout) {
    cut(Limit::silence, 1011, "nothing came within silence_timeout, no pong either");
    socket_.flush();
    return die();
  }
  if (silent >= limits.ping_interval && seconds(last_ping_, now) >= limits.ping_interval) {
    last_ping_ = now;
    socket_.ping();
    go_on();
  }
}

void Session::drain(net::TimePoint now) {
  if (dead_ || draining_) return;
  now_ = now;
  draining_ = true;
  if (!socket_.upgraded() && !http_answered_) return die();
  budget_ = kTurnBytes;
  go_on();
}

void Session::abandon() noexcept { die(); }

bool Session::wants_read() const noexcept { return !dead_ && may_read(); }
bool Session::wants_write() const noexcept { return !dead_ && blocked_; }

bool Session::at_work() const noexcept {
  return !dead_ && (busy() || !waiting_.empty() || (!finished_ && socket_.unsent() != 0));
}

bool Session::wants_turn() const noexcept {
  if (dead_) return false;
  if (production_) return !blocked_;
  if (!waiting_.empty() && !working_ && socket_.unsent() < shared_.limits.reply_queue_soft) return true;
  return may_read() && socket_.more_to_receive();
}

// ---- What the socket says ----

net::HttpAnswer Session::http(const net::HttpRequest& request) {
  Decision decision = decide(shared_.gate, request);
  for (const auto& [name, value] : request.headers) {
    if (name == rpc::kWireHeader && value == rpc::name_of(rpc::Dialect::d21)) preferred_ = rpc::Dialect::d21;
  }
  const bool stopping = shared_.draining.load(std::memory_order_relaxed);
  switch (decision.route) {
    case Route::upgrade:
      if (no_room_ == NoRoom::none && !stopping) return {};
      decision.answer = plain_answer(503, stopping                          ? "The server is stopping."
                                          : no_room_ == NoRoom::connections ? "The server has too many connections."
                                                                            : "The server has too few descriptors.");
      decision.answer.headers.emplace_back("Retry-After", "1");
      break;
    case Route::health: decision.answer = stopping ? plain_answer(503, "stopping") : plain_answer(200, "ok"); break;
    case Route::status:
      decision.answer.status = 200;
      decision.answer.content_type = "application/json";
      decision.answer.headers.emplace_back("Cache-Control", "no-store");
      decision.answer.body = shared_.status_json();
      break;
    case Route::refused: break;
  }
  http_answered_ = true;
  closing_until_ = now_ + kLinger;
  if (decision.answer.status >= 400) {
    host_.metrics.refused.add();
    if (no_room_ == NoRoom::connections) {
      breach(Limit::connections, "more connections than max_connections");
    } else if (no_room_ == NoRoom::descriptors) {
      breach(Limit::descriptors, "refused: no more descriptors are left than reserved_descriptors");
    } else if (shared_.log.on()) {
      shared_.log.write(LogLevel::info, "refused", decision.answer.summary(), peer_);
    }
  }
  return std::move(decision.answer);
}

void Session::opened() {
  detector_.emplace(preferred_);
  last_sign_ = now_;
  if (shared_.log.on()) shared_.log.write(LogLevel::debug, "connected", "a WebSocket is open", peer_);
}

MutableBytes Session::need() {
  if (!may_read()) return {};
  if (!reader_ || closing_ || draining_) return host_.receive_buffer;
  return reader_->need();
}

void Session::received(std::size_t n, net::MessageKind kind, bool message_done) {
  if (kind != net::MessageKind::binary || closing_ || draining_) return;  // text has no meaning here
  chunk_at_ = std::exchange(turn_begins_, false) ? now_ : net::Clock::now();
  if (!reader_) return detect(BytesView(host_.receive_buffer).first(n), message_done);
  if (n == 0) return;
  if (const rpc::Fault* fault = reader_->commit(n, *this); fault != nullptr) fail(*fault);
}

void Session::ended(Error error) {
  ended_ = true;
  stop_answering();
  lost_ = error.code == Errc::connection_lost;
  if (error.code == Errc::protocol_error) {
    breach(socket_.close_code() == kTooBig ? Limit::message : Limit::protocol, error.detail);
    host_.metrics.cut.add();
  } else if (error.code == Errc::handshake_failed && !http_answered_) {
    // The socket has answered by itself: what came is no HTTP, too much of it, or asks for no WebSocket.
    http_answered_ = true;
    host_.metrics.refused.add();
    if (socket_.http_status() == kTooManyHeaders) {
      breach(Limit::headers, error.detail);
    } else if (shared_.log.on()) {
      shared_.log.write(LogLevel::info, "refused", error.detail, peer_);
    }
  } else if (shared_.log.on()) {
    shared_.log.write(LogLevel::debug, "closed", error.detail, peer_);
  }
}

void Session::detect(BytesView bytes, bool message_done) {
  const Result<std::optional<rpc::Dialect>> found = detector_->feed(bytes, message_done);
  if (!found) return fail({1002, "the dialect of the frames cannot be told", socket_.bytes_received()});
  if (!*found) return;
  dialect_ = **found;
  reader_ = std::make_unique<rpc::RequestReader>(dialect_, request_limits(shared_.limits), host_.receive_buffer);
  const rpc::Fault* fault = reader_->feed(detector_->collected(), *this);
  detector_.reset();
  if (fault != nullptr) fail(*fault);
}

// ---- Requests ----

void Session::request(const rpc::WholeRequest& request) {
  if (closing_ || draining_) return;
  if (request.type != rpc::MessageType::call) {
    return fail({1002, "a message that is no call", socket_.bytes_received()});
  }
  if (busy() || !waiting_.empty() || budget_ <= 0 || socket_.unsent() >= shared_.limits.reply_queue_soft) {
    return enqueue(request);
  }
  Request now{request.request_id, request.method_id, request.args, {}, request.refused, chunk_at_};
  if (request.owner != nullptr) now.owner = std::move(*request.owner);
  carry_out(std::move(now));
}

void Session::enqueue(const rpc::WholeRequest& request) {
  Request later{request.request_id, request.method_id, request.args, {}, request.refused, chunk_at_};
  if (request.owner != nullptr) later.owner = std::move(*request.owner);
  own_args(later);
  waiting_bytes_ += later.args.size() + kWaitingCost;
  waiting_.push_back(std::move(later));
}

void Session::own_args(Request& request) {
  if (request.owner || request.args.empty()) return;
  auto copy = std::make_shared<const Bytes>(request.args.begin(), request.args.end());
  request.args = *copy;
  request.owner = std::move(copy);
}

void Session::carry_out(Request request) {
  const Call call = call_of(request.method_id);
  if ((ended_ || closing_) && !is_write(call)) return;
  Answer& answer = host_.answer;
  if (!request.refused.empty()) {
    std::string text(request.refused);
    const bool over_limit = text.find("limit") != std::string::npos;
    if (over_limit) {
      text += ", " + std::to_string(shared_.limits.max_request) + " bytes (its option max_request)";
    }
    Calls::turn_down(call, request.args, text, answer);
    if (over_limit) answer.exceeded = Limit::request;
    return reply(request, call, answer, nullptr);
  }
  if (takes_long(call, request.args, shared_.backend)) return hand_over(std::move(request), call, true);
  Payloads& found = host_.payloads();
  // What another thread writes may take long: nobody here but this connection waits for it.
  if (!host_.calls.run(call, request.args, Patience::none, host_.scratch, found, answer)) {
    return hand_over(std::move(request), call, true);
  }
  if (answer.payloads && answer.payload_bytes > kCheckInline) return hand_over(std::move(request), call, false);
  if (answer.payloads) host_.calls.check(call, request.args, host_.scratch, found, answer);
  reply(request, call, answer, &host_.spare_payloads);
  if (gives_payloads(call) && host_.spare_payloads) host_.spare_payloads->clear();
  if (request.args.size() > kTrimFrom) host_.scratch.trim();
}

void Session::hand_over(Request request, Call call, bool everything) {
  own_args(request);
  auto work = std::make_unique<Work>(shared_.limits, charge_);
  work->call = call;
  work->everything = everything;
  if (everything) {
    work->payloads = shared_.backend.make_payloads();
  } else {
    work->payloads = std::move(host_.spare_payloads);
    charge_.set(work->payloads->memory());
    work->answer = std::move(host_.answer);
    host_.answer = {};
  }
  work->payloads->end_when(&unheard_);
  working_bytes_ = request.args.size();
  work->request = std::move(request);
  work_ = std::move(work);
  working_ = true;
  Workers& workers = is_write(call) ? shared_.writers : shared_.readers;
  if (!workers.post(*this)) run();  // better late than never
}

void Session::run() noexcept {
  Work& work = *work_;
  const bool useless = (is_write(work.call) ? cut_ : unheard_).load(std::memory_order_relaxed);
  if (work.everything && !useless) {
    (void)host_.calls.run(work.call, work.request.args, Patience::wait, work.scratch, *work.payloads, work.answer);
  }
  if (work.answer.payloads) {
    host_.calls.check(work.call, work.request.args, work.scratch, *work.payloads, work.answer);
  }
  host_.work_done(*this);
}

// ---- Answers ----

void Session::reply(const Request& request, Call call, Answer& answer, std::unique_ptr<Payloads>* payloads) {
  Metrics& metrics = host_.metrics;
  const auto index = static_cast<std::size_t>(call);
  if (answer.exceeded)
    breach(*answer.exceeded, {reinterpret_cast<const char*>(answer.head.data()), answer.head.size()});
  if (!closing_ && !ended_) {
    const std::uint32_t stream = rpc::reply_stream_id(dialect_, next_stream_++);
    Payloads* const found = payloads != nullptr ? payloads->get() : nullptr;
    if (answer.body_bytes() > kInlineReply) {
      production_ = std::make_unique<Production>(std::move(answer), dialect_, stream, request, payloads, charge_);
      answer = {};
    } else {
      ReplyStream frames(dialect_, stream, request.request_id, request.method_id, answer, found);
      send_now(frames, request, stream, answer);
    }
  }
  if (request.method_id == 0) return;  // a client that asks for the dialect, not for anything
  metrics.calls[index].add();
  if (answer.status != rpc::Status::success) metrics.errors[index].add();
  host_.replied_at = net::Clock::now();
  const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(host_.replied_at - request.arrived).count();
  metrics.latency.add(static_cast<std::uint64_t>(std::max<std::int64_t>(took, 0)));
}

// The whole of an answer, into the socket's buffer.
void Session::send_now(ReplyStream& frames, const Request& request, std::uint32_t stream, Answer& answer) {
  while (!frames.done()) {
    const Result<std::size_t> written = frames.next(socket_);
    if (written) {
      budget_ -= static_cast<std::int64_t>(*written);
      continue;
    }
    if (frames.started()) return lose(written.error());
    host_.calls.spoil(call_of(request.method_id), request.args, host_.scratch, frames.item(), written.error(), answer);
    ReplyStream instead(dialect_, stream, request.request_id, request.method_id, answer, nullptr);
    while (!instead.done()) (void)instead.next(socket_);
    return;
  }
  budget_ -= kReplyCost;
  if (!blocked_) send_some();
}

// An answer whose beginning has been sent cannot be completed.
void Session::lose(const Error& error) {
  if (shared_.log.on()) shared_.log.write(LogLevel::error, "failed", error.detail, peer_);
  production_.reset();
  close(1011, "the store failed while a reply was being sent");
}

void Session::produce() {
  while (budget_ > 0 && !send_some()) {
    const Result<std::size_t> written = production_->stream.next(socket_);
    if (!written) return lose(written.error());
    budget_ -= static_cast<std::int64_t>(*written);
    if (production_->stream.done()) {
      give_back(std::move(production_->payloads));
      production_.reset();
      return;
    }
  }
}

// Whether the socket is full.
bool Session::send_some() {
  if (socket_.unsent() < kSendFrom) return false;
  blocked_ = !socket_.flush();
  return blocked_;
}

void Session::give_back(std::unique_ptr<Payloads> payloads) noexcept {
  if (!payloads) return;
  payloads->clear();
  payloads->end_when(nullptr);
  if (!host_.spare_payloads) host_.spare_payloads = std::move(payloads);
}

// What can be done without waiting, then one send.
void Session::go_on() {
  if (ended_ || closing_) production_.reset();
  for (;;) {
    if (production_) {
      produce();
      if (production_) break;
    } else if (working_ || waiting_.empty() || budget_ <= 0 || socket_.unsent() >= shared_.limits.reply_queue_soft) {
      break;
    } else {
      Request next = std::move(waiting_.front());
      waiting_.pop_front();
      waiting_bytes_ -= next.args.size() + kWaitingCost;
      carry_out(std::move(next));
    }
  }
  const bool idle = !busy() && waiting_.empty();
  if (draining_ && idle && !closing_ && !ended_ && socket_.upgraded()) close(1001, "the server is stopping");
  blocked_ = !socket_.flush();
  if (socket_.unsent() > shared_.limits.reply_queue_hard && !closing_) {
    cut(Limit::replies, 1013, "more replies wait than reply_queue_hard allows");
    die();
  }
  if (idle && !blocked_ && !finished_ && (closing_ || ended_ || http_answered_)) {
    socket_.finish();
    finished_ = true;
    closing_until_ = std::min(closing_until_, now_ + (draining_ ? net::Clock::duration(kDrainLinger) : kLinger));
  }
  count_unfinished();
  count_traffic();
  if (socket_.finished() && idle) die();
}

// ---- Limits ----

bool Session::may_read() const noexcept {
  if (lost_) return false;
  // What comes after the end is only taken when nothing else is left to be done: its end would be told all the time.
  if (ended_ || closing_) return finished_;
  if (draining_ || !reader_) return true;
  const ServerLimits& limits = shared_.limits;
  if (socket_.unsent() >= limits.reply_queue_soft || short_) return false;
  if (waiting_.empty()) return true;
  return waiting_.size() < kMostWaiting && waiting_bytes_ < kMostWaitingBytes &&
         counted_unfinished_ < limits.max_unfinished;
}

void Session::count_unfinished() noexcept {
  const std::uint64_t now = (reader_ ? reader_->unfinished_bytes() : 0) + waiting_bytes_ + working_bytes_;
  if (now != counted_unfinished_) {
    shared_.unfinished.fetch_add(now - counted_unfinished_, std::memory_order_relaxed);  // modulo 2^64, also downwards
    counted_unfinished_ = now;
  }
  const bool is_short =
      now > kSmallShare && shared_.unfinished.load(std::memory_order_relaxed) > shared_.limits.max_unfinished_total;
  if (is_short && !short_) short_since_ = now_;
  short_ = is_short;
}

void Session::count_traffic() noexcept {
  const std::uint64_t received = socket_.bytes_received();
  const std::uint64_t sent = socket_.bytes_sent();
  host_.metrics.bytes_received.add(received - counted_received_);
  host_.metrics.bytes_sent.add(sent - counted_sent_);
  counted_received_ = received;
  counted_sent_ = sent;
}

void Session::fail(const rpc::Fault& fault) {
  if (closing_) return;
  const Limit limit = fault.close_code == 1002   ? Limit::protocol
                      : fault.close_code == 1009 ? Limit::message
                      : fault.close_code == 1013 ? Limit::unfinished
                                                 : Limit::policy;
  std::string text(fault.reason);
  text += ", at byte " + std::to_string(fault.offset);
  breach(limit, text);
  host_.metrics.cut.add();
  close(fault.close_code, fault.reason);
}

void Session::close(std::uint16_t code, std::string_view reason) {
  if (closing_) return;
  socket_.close(code, reason);
  closing_ = true;
  stop_answering();
  // While it drains, the replies before it have as long to be taken as they had without it.
  if (!draining_) closing_until_ = now_ + kLinger;
  waiting_.clear();
  waiting_bytes_ = 0;
}

void Session::breach(Limit limit, std::string_view text) {
  host_.metrics.breaches[static_cast<std::size_t>(limit)].add();
  const std::uint32_t bit = std::uint32_t{1} << static_cast<unsigned>(limit);
  if ((logged_ & bit) != 0 || !shared_.log.on()) return;
  logged_ |= bit;
  std::string message(name_of(limit));
  message += ": ";
  message += text;
  shared_.log.write(LogLevel::warning, "limit", message, peer_);
}

void Session::cut(Limit limit, std::uint16_t code, std::string_view text) {
  breach(limit, text);
  host_.metrics.cut.add();
  if (socket_.upgraded()) close(code, text);
}

void Session::die() noexcept {
  dead_ = true;
  stop_answering();
  cut_.store(true, std::memory_order_relaxed);
  socket_.finish();  // the peer need not wait for a worker, nor for a child of fork() that has a copy of the socket
  production_.reset();
  waiting_.clear();
  waiting_bytes_ = 0;
}

}  // namespace simdrive::server
