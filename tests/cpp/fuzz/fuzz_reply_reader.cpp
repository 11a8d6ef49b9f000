// Bytes in random pieces, read as replies: no crash, no sink ended twice or touched after its end, every buffer kept
// to.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "rpc/reply_reader.hpp"

namespace {

using namespace simdrive;

void require(bool condition) {
  if (!condition) std::abort();
}

// The fuzzer's bytes, used up one by one; zeros at the end.
class Source {
 public:
  explicit Source(BytesView in) : in_(in) {}
  std::uint8_t next() {
    if (in_.empty()) return 0;
    const std::uint8_t b = in_[0];
    in_ = in_.subspan(1);
    return b;
  }
  BytesView take(std::size_t n) {
    const BytesView out = in_.first(std::min(n, in_.size()));
    in_ = in_.subspan(out.size());
    return out;
  }
  [[nodiscard]] bool empty() const { return in_.empty(); }

 private:
  BytesView in_;
};

class Sink final : public rpc::ReplySink {
 public:
  static constexpr std::size_t kMax = 512;
  bool waiting = true;  // for its reply
  bool blocks_again = false;

  void arrange(std::uint8_t how, std::uint8_t size) {
    size_ = std::size_t{size} * 2;
    blocks_again = (how & 1) != 0;
    in_place_ = (how & 2) != 0;
    fails_ = (how & 4) != 0;
    block_at_ = blocks_again ? size_ / 2 : kMax + 1;
  }
  void unblock(bool again) { block_at_ = again && taken_ < size_ ? taken_ + 1 : kMax + 1; }
  void drop() { waiting = false; }

  void begin(std::uint8_t) override {
    require(waiting && !began_);
    began_ = true;
  }
  Result<std::size_t> feed(BytesView in) override {
    require(waiting && began_);
    if (fails_ && taken_ + in.size() > size_ / 2) return Error{Errc::protocol_error, "refused"};
    if (in.size() > size_ - taken_) return Error{Errc::protocol_error, "too long"};
    const std::size_t n = std::min(in.size(), block_at_ > taken_ ? block_at_ - taken_ : 0);
    if (n != 0) std::memcpy(bytes_.data() + taken_, in.data(), n);
    taken_ += n;
    return n;
  }
  MutableBytes direct() override {
    require(waiting && began_);
    if (!in_place_ || taken_ >= block_at_) return {};
    return MutableBytes(bytes_).subspan(taken_, size_ - taken_);
  }
  void commit(std::size_t n) override {
    require(waiting && began_ && n <= size_ - taken_);
    taken_ += n;
  }
  [[nodiscard]] bool complete() const override {
    require(waiting);
    return taken_ == size_;
  }
  Result<void> at_end() override {
    require(waiting);
    return Error{Errc::protocol_error, "too short"};
  }
  void finished(Result<void>) override {
    require(waiting);
    waiting = false;
  }

 private:
  std::size_t size_ = 0;
  std::size_t taken_ = 0;
  std::size_t block_at_ = kMax + 1;
  bool began_ = false;
  bool in_place_ = false;
  bool fails_ = false;
  std::array<std::uint8_t, kMax> bytes_{};
};

struct Calls final : rpc::PendingCalls {
  std::array<Sink, 8> sinks;
  rpc::ReplySink* find(std::uint32_t id, std::uint64_t) override {
    Sink& s = sinks[id % sinks.size()];
    return s.waiting ? &s : nullptr;
  }
};

// Half of the pieces are framed by us, so that the fuzzer need not find out what a header looks like.
Bytes piece(Source& source, rpc::Dialect dialect, std::array<std::uint32_t, 4>& seqs) {
  const std::uint8_t what = source.next();
  const std::size_t size = source.next();
  if ((what & 1) == 0) {
    const BytesView raw = source.take(size);
    return {raw.begin(), raw.end()};
  }
  const std::uint32_t stream = what >> 1 & 3;
  const bool opens = seqs[stream] == 0;
  const bool ends = (what & 8) != 0;
  const BytesView body = source.take(size);
  Bytes payload;
  if (opens) {
    payload.resize(rpc::kRpcHeader);
    rpc::store_rpc_header(payload.data(), rpc::MessageType::response, what >> 4, 0, 1);
  }
  payload.insert(payload.end(), body.begin(), body.end());
  Bytes out(rpc::header_size(dialect));
  const auto kind = ends ? rpc::Kind::end : opens ? rpc::Kind::open : rpc::Kind::data;
  rpc::store_frame_header(out.data(), dialect, static_cast<std::uint32_t>(payload.size()), stream, seqs[stream], kind,
                          0);
  seqs[stream] = ends ? 0 : seqs[stream] + 1;
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

Result<void> deliver(rpc::ReplyReader& reader, BytesView in, Source& source, std::size_t step) {
  while (!in.empty()) {
    if (auto* held = static_cast<Sink*>(reader.blocked())) {
      require(reader.need().empty() && reader.holds(held) && held->waiting);
      const std::uint8_t choice = source.next();
      if ((choice & 1) != 0) {
        reader.drop(held);
        held->drop();
        require(!reader.holds(held));
      } else {
        held->unblock((choice & 2) != 0);
      }
      if (auto r = reader.resume(); !r) return r;
      continue;
    }
    const MutableBytes to = reader.need();
    require(!to.empty());
    const std::size_t n = std::min({to.size(), in.size(), step});
    std::memcpy(to.data(), in.data(), n);
    in = in.subspan(n);
    if (auto r = reader.commit(n); !r) return r;
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Source source({data, size});
  const std::uint8_t first = source.next();
  const auto dialect = (first & 1) != 0 ? rpc::Dialect::d21 : rpc::Dialect::d13;
  const std::size_t step = (first >> 1) + std::size_t{1};
  Calls calls;
  for (Sink& s : calls.sinks) {
    const std::uint8_t how = source.next();
    s.arrange(how, source.next());
  }
  rpc::ReplyReader reader(dialect, calls);
  std::array<std::uint32_t, 4> seqs{};
  while (!source.empty()) {
    const Bytes in = piece(source, dialect, seqs);
    const auto r = deliver(reader, in, source, step);
    if (r) continue;
    require(r.error().code == Errc::protocol_error);
    break;
  }
  for (const Sink& s : calls.sinks) require(s.waiting || !reader.holds(&s));
  return 0;
}
