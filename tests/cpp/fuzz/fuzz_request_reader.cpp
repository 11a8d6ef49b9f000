// Bytes in random pieces, read as requests: no crash, the same requests whatever the pieces, what is kept within the
// limits, no room larger than what came.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "rpc/dialect.hpp"
#include "rpc/request_reader.hpp"

namespace {

using namespace simdrive;

void require(bool condition) {
  if (!condition) std::abort();
}

// Small enough to be reached, or large enough for arguments in memory of their own.
rpc::RequestLimits limits_of(bool large) {
  rpc::RequestLimits limits;
  limits.max_frame = 1 << 15;
  limits.max_request = large ? 100'000 : 3000;
  limits.max_unfinished = large ? 150'000 : 5000;
  limits.max_streams = 3;
  limits.max_early_bytes = large ? 20'000 : 1000;
  limits.max_idle_frames = 100;
  return limits;
}

// The requests, written down one behind the other.
class Sink final : public rpc::RequestSink {
 public:
  explicit Sink(std::uint64_t max_request) : max_request_(max_request) {}

  void request(const rpc::WholeRequest& r) override {
    require(r.args.size() <= (r.refused.empty() ? max_request_ : rpc::WholeRequest::kBegun));
    require(r.refused.empty() || r.owner == nullptr);
    log += std::to_string(r.request_id) + ':' + std::to_string(r.method_id) + ':';
    if (r.refused.empty()) {  // what is at hand of others depends on how they came
      log += std::to_string(r.args.size()) + ':';
      log.append(r.args.begin(), r.args.end());
    }
    log += r.refused;
    log += '\n';
    if (r.owner == nullptr || kept.size() == 4) return;
    kept.push_back(std::move(*r.owner));
    require(kept.back() != nullptr);
  }

  std::string log;
  std::vector<std::shared_ptr<const void>> kept;

 private:
  std::uint64_t max_request_;
};

struct Run {
  std::string log;
  unsigned code = 0;
};

// `sizes` says how long each piece is; 0 stands for all that fits, and for bytes from elsewhere.
Run read(rpc::Dialect dialect, const rpc::RequestLimits& limits, BytesView in, BytesView sizes) {
  Bytes scratch(4096);
  rpc::RequestReader reader(dialect, limits, scratch);
  Sink sink(limits.max_request);
  std::size_t turn = 0;
  const rpc::Fault* fault = nullptr;
  while (!in.empty() && fault == nullptr) {
    const std::size_t size = sizes.empty() ? 0 : sizes[turn++ % sizes.size()];
    if (size == 255) {
      const std::size_t n = std::min<std::size_t>(in.size(), 700);
      const Bytes elsewhere(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
      in = in.subspan(n);
      fault = reader.feed(elsewhere, sink);
    } else {
      const MutableBytes to = reader.need();
      require(!to.empty() && to.size() <= std::max<std::uint64_t>(scratch.size(), limits.max_request));
      const std::size_t n = std::min({to.size(), in.size(), size == 0 ? in.size() : size});
      std::memcpy(to.data(), in.data(), n);
      in = in.subspan(n);
      fault = reader.commit(n, sink);
      std::fill(scratch.begin(), scratch.end(), std::uint8_t{0xa5});
    }
    require(reader.unfinished_bytes() <= limits.max_unfinished && reader.open_streams() <= limits.max_streams);
  }
  if (fault == nullptr) return {sink.log, 0};
  require(!fault->reason.empty() && fault->reason.size() <= 123 && fault->close_code >= 1002);
  require(reader.feed(rpc::kProbe, sink) == fault && !reader.need().empty());
  return {sink.log, fault->close_code};
}

// Frames that we make of half of the bytes, so that the fuzzer need not find out what a header looks like.
Bytes framed(rpc::Dialect dialect, BytesView in) {
  Bytes out;
  std::array<std::uint32_t, 4> seqs{};
  while (in.size() >= 3) {
    const std::uint8_t what = in[0];
    const std::size_t size = in[1] * (in[2] % 4 == 0 ? std::size_t{32} : 1);
    const std::uint8_t oddity = in[2];
    in = in.subspan(3);
    const std::uint32_t stream = what & 3;
    const std::uint8_t kind = (what & 12) == 12 ? 2 : (what & 12) == 8 && oddity > 250 ? 3 : seqs[stream] == 0 ? 0 : 1;
    const BytesView body = in.first(std::min<std::size_t>(in.size(), std::min<std::size_t>(size, 40)));
    in = in.subspan(body.size());
    Bytes payload;
    if (seqs[stream] == 0 && oddity < 240) {
      payload.resize(rpc::kRpcHeader);
      rpc::store_rpc_header(payload.data(), rpc::MessageType::call, what >> 4, 7, (what >> 5) * std::uint16_t{9});
    }
    payload.insert(payload.end(), body.begin(), body.end());
    payload.resize(payload.size() + (size - body.size()));
    if (kind == 2 && oddity < 230) payload.clear();
    const std::size_t at = out.size();
    out.resize(at + rpc::header_size(dialect));
    rpc::store_frame_header(out.data() + at, dialect, static_cast<std::uint32_t>(payload.size()), stream,
                            seqs[stream] + (oddity % 16 == 1 ? 1 : 0), static_cast<rpc::Kind>(kind), 0);
    if (kind > 1) {
      seqs[stream] = 0;
    } else {
      ++seqs[stream];
    }
    out.insert(out.end(), payload.begin(), payload.end());
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 10) return 0;
  const BytesView sizes(data, 8);
  const auto dialect = (data[8] & 1) != 0 ? rpc::Dialect::d21 : rpc::Dialect::d13;
  const BytesView raw(data + 9, size - 9);
  const Bytes made = (data[8] & 2) != 0 ? framed(dialect, raw) : Bytes(raw.begin(), raw.end());
  const rpc::RequestLimits limits = limits_of((data[8] & 4) != 0);
  const Run whole = read(dialect, limits, made, {});
  for (const BytesView pieces : {sizes, sizes.first(1), sizes.first(3)}) {
    const Run cut = read(dialect, limits, made, pieces);
    require(cut.log == whole.log && cut.code == whole.code);
  }
  if (made.size() > 16'384) return 0;
  const std::uint8_t one = 1;
  const Run single = read(dialect, limits, made, BytesView(&one, 1));
  require(single.log == whole.log && single.code == whole.code);
  return 0;
}
