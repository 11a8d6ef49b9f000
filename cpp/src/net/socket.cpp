#include "net/socket.hpp"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "net/socket_os.hpp"

namespace simdrive::net {

namespace {

struct Lookup {
  std::mutex mutex;
  std::condition_variable ready;
  bool done = false;
  int code = 0;
  AddressList list;
};

// The resolver has no deadline of its own, so names are looked up on a thread that may be left behind.
Result<AddressList> resolve(const std::string& host, std::uint16_t port, TimePoint deadline, const StopRequest& stop) {
  AddressList numeric;
  if (look_up(host, port, AI_NUMERICHOST, numeric) == 0) return numeric;
  auto state = std::make_shared<Lookup>();
  try {
    std::thread([state, host, port] {
      AddressList list;
      const int code = look_up(host, port, 0, list);
      const std::lock_guard lock(state->mutex);
      state->list = std::move(list);
      state->code = code;
      state->done = true;
      state->ready.notify_one();
    }).detach();
  } catch (const std::system_error& e) {
    return Error{Errc::connect_failed, std::string("no thread for the name look-up: ") + e.what()};
  }
  std::unique_lock lock(state->mutex);
  while (!state->done) {
    const TimePoint now = Clock::now();
    if (now >= deadline) return Error{Errc::connect_timeout, "the look-up of the host name took too long"};
    state->ready.wait_until(lock, std::min(deadline, now + kStopSlice));
    if (!state->done && stop && stop()) return connect_interrupted();
  }
  if (state->code != 0) return Error{Errc::connect_failed, lookup_text(state->code)};
  return std::move(state->list);
}

}  // namespace

int look_up(const std::string& host, std::uint16_t port, int flags, AddressList& out) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (code == 0) out.reset(list);
  return code;
}

TimePoint after(TimePoint start, double seconds) noexcept {
  constexpr double kFar = 1e9;
  if (!(seconds < kFar)) return TimePoint::max();
  return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::max(seconds, 0.0)));
}

std::string unix_url(std::string_view path) {
  constexpr std::string_view kReserved = "%@?#\\\"<>^`{|}";
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "ws+unix://";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && kReserved.find(c) == std::string_view::npos) {
      out += c;
    } else {
      out.append("%").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    }
  }
  return out;
}

Error connect_interrupted() { return {Errc::interrupted, "connecting was interrupted"}; }

int poll_ms(TimePoint until, TimePoint now) noexcept {
  const auto left = until - now;
  if (left <= Clock::duration::zero()) return 0;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(ms, 3'600'000));
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, kNoSocket);
  }
  return *this;
}

bool Socket::discard() noexcept {
  constexpr int kRounds = 64;  // of a peer that never stops
  char scratch[16384];
  IoPiece piece = io_piece(scratch, sizeof scratch);
  for (int i = 0; i < kRounds; ++i) {
    const IoStatus status = receive({&piece, 1}).status;
    if (status == IoStatus::would_block) return false;
    if (status != IoStatus::ok) return true;
  }
  return false;
}

Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, TimePoint deadline, const StopRequest& stop) {
  start_sockets();
  auto addresses = resolve(host, port, deadline, stop);
  if (!addresses) return std::move(addresses).error();
  Error last{Errc::connect_failed, "the host name has no address"};
  for (const addrinfo* a = addresses.value().get(); a; a = a->ai_next) {
    auto s = connect_one(*a, deadline, stop);
    if (s) return s;
    last = std::move(s).error();
    if (last.code != Errc::connect_failed) break;
  }
  return last;
}

}  // namespace simdrive::net
