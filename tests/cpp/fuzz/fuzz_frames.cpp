// Bytes in random pieces, decoded as frames: no crash, the same events whatever the pieces, bounded state.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "rpc/dialect.hpp"
#include "rpc/reassembler.hpp"
#include "rpc/request_table.hpp"

namespace {

using namespace simdrive;

void require(bool condition) {
  if (!condition) std::abort();
}

rpc::ReassemblerLimits tight() {
  rpc::ReassemblerLimits limits;
  limits.max_frame = 1 << 16;
  limits.max_streams = 8;
  limits.max_early_bytes = 1 << 12;
  return limits;
}

struct Run {
  std::string events;
  bool failed = false;  // a message was cut short, so pieces matter
  bool broken = false;
};

Run decode(rpc::Dialect dialect, BytesView in, std::size_t piece) {
  rpc::Reassembler reassembler(dialect, tight());
  rpc::RequestTable table({.max_entries = 64, .max_bytes = 1 << 18});
  Run run;
  while (!in.empty()) {
    const std::size_t n = std::min(piece, in.size());
    const Bytes message(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
    in = in.subspan(n);
    auto events = reassembler.feed(message);
    if (!events.ok()) {
      require(events.error().code == Errc::protocol_error);
      require(!reassembler.feed({}).ok());
      run.broken = true;
      break;
    }
    for (const rpc::Event& e : *events) {
      run.events += static_cast<char>(e.kind);
      run.events += std::to_string(e.request_id);
      run.events.append(e.bytes.begin(), e.bytes.end());
    }
    run.failed = run.failed || reassembler.message_failed();
    std::vector<rpc::Request> ready;
    if (!table.apply(*events, reassembler.message_failed(), ready).ok()) break;
    require(reassembler.open_streams() <= 16);
    require(reassembler.buffered() <= rpc::header_size(dialect) + (1 << 16));
  }
  return run;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = data[0] + std::size_t{1};
  const BytesView in(data + 1, size - 1);
  for (const rpc::Dialect dialect : {rpc::Dialect::d13, rpc::Dialect::d21}) {
    const Run whole = decode(dialect, in, size);
    const Run cut = decode(dialect, in, piece);
    if (!whole.failed && !cut.failed && !whole.broken && !cut.broken) require(whole.events == cut.events);
  }
  (void)rpc::judge_probe_answer(in);
  rpc::DialectDetector detector;
  for (std::size_t at = 0; at < in.size(); at += piece) {
    auto found = detector.feed(in.subspan(at, std::min(piece, in.size() - at)));
    if (!found.ok() || *found) break;
  }
  return 0;
}
