// What the tests of the request reader share: frames by hand, a sink that remembers, ways to hand bytes over.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "rpc/request_reader.hpp"

namespace simdrive::rpc {

inline Bytes frame_of(Dialect dialect, std::uint32_t stream, std::uint32_t seq, std::uint8_t kind, BytesView payload) {
  Bytes out(header_size(dialect));
  store_frame_header(out.data(), dialect, static_cast<std::uint32_t>(payload.size()), stream, seq,
                     static_cast<Kind>(kind), 0x000660db00413bf4);
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

inline Bytes call_of(std::uint32_t request_id, std::uint64_t method_id, BytesView meta, BytesView payload = {},
                     std::uint8_t type = 0) {
  Bytes out(kRpcHeader);
  store_rpc_header(out.data(), static_cast<MessageType>(type), request_id, method_id,
                   static_cast<std::uint16_t>(meta.size()));
  out.insert(out.end(), meta.begin(), meta.end());
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

inline Bytes joined(const std::vector<Bytes>& parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

struct Got {
  std::uint32_t request_id = 0;
  std::uint64_t method_id = 0;
  Bytes args{};
  std::string refused{};
  friend auto operator<=>(const Got&, const Got&) = default;
};

struct RememberingSink final : RequestSink {
  std::vector<Got> got;
  std::vector<std::shared_ptr<const void>> owners;
  std::vector<BytesView> views;  // as they were given
  bool takes_owners = false;

  void request(const WholeRequest& r) override {
    got.push_back({r.request_id, r.method_id, Bytes(r.args.begin(), r.args.end()), std::string(r.refused)});
    views.push_back(r.args);
    if (takes_owners && r.owner != nullptr) owners.push_back(std::move(*r.owner));
  }
};

/// Hands `in` over through need() and commit(), at most `piece` bytes at a time. The bytes of the scratch buffer are
/// overwritten afterwards, so that nothing can be kept there.
inline const Fault* pour(RequestReader& reader, MutableBytes scratch, BytesView in, std::size_t piece,
                         RequestSink& sink) {
  while (!in.empty()) {
    const MutableBytes to = reader.need();
    const std::size_t n = std::min({to.size(), in.size(), piece});
    std::memcpy(to.data(), in.data(), n);
    in = in.subspan(n);
    const Fault* fault = reader.commit(n, sink);
    if (to.data() == scratch.data()) std::memset(scratch.data(), 0xa5, n);
    if (fault != nullptr) return fault;
  }
  return nullptr;
}

}  // namespace simdrive::rpc
