#include "simdrive/wire.hpp"

#include <span>
#include <utility>

#include "rpc/reassembler.hpp"
#include "rpc/request_table.hpp"

namespace simdrive::wire {
namespace {

Event::Kind kind_of(const rpc::Event& e) noexcept {
  switch (e.kind) {
    case rpc::Event::Kind::header: return Event::Kind::header;
    case rpc::Event::Kind::payload: return Event::Kind::payload;
    case rpc::Event::Kind::end: return Event::Kind::end;
    case rpc::Event::Kind::message_failed: return Event::Kind::message_failed;
    case rpc::Event::Kind::error: break;
  }
  return e.error == rpc::StreamError::read_after_cancel ? Event::Kind::read_after_cancel : Event::Kind::corrupt_frame;
}

}  // namespace

struct FrameDecoder::Impl {
  Impl(rpc::Dialect dialect, bool collect) : reassembler(dialect), collect_requests(collect) {}

  rpc::Reassembler reassembler;
  rpc::RequestTable table;
  std::vector<rpc::Request> ready;
  bool collect_requests;
};

FrameDecoder::FrameDecoder(Dialect dialect, bool collect_requests)
    : impl_(std::make_unique<Impl>(dialect == Dialect::d13 ? rpc::Dialect::d13 : rpc::Dialect::d21, collect_requests)) {
}
FrameDecoder::~FrameDecoder() = default;
FrameDecoder::FrameDecoder(FrameDecoder&&) noexcept = default;
FrameDecoder& FrameDecoder::operator=(FrameDecoder&&) noexcept = default;

Result<std::vector<Event>> FrameDecoder::feed(BytesView message) {
  auto events = impl_->reassembler.feed(message);
  if (!events.ok()) return std::move(events).error();
  if (impl_->collect_requests) {
    auto r = impl_->table.apply(*events, impl_->reassembler.message_failed(), impl_->ready);
    if (!r.ok()) return std::move(r).error();
  }
  std::vector<Event> out;
  out.reserve(events->size());
  for (const rpc::Event& e : *events) {
    out.push_back({kind_of(e), static_cast<std::uint8_t>(e.type), e.request_id, e.method_id,
                   Bytes(e.bytes.begin(), e.bytes.end())});
  }
  return out;
}

std::vector<Request> FrameDecoder::take_requests() {
  std::vector<Request> out;
  out.reserve(impl_->ready.size());
  for (rpc::Request& r : impl_->ready) out.push_back({r.request_id, r.method_id, std::move(r.args), r.from_payload});
  impl_->ready.clear();
  return out;
}

std::vector<std::uint32_t> FrameDecoder::open_requests() const { return impl_->table.open(); }

}  // namespace simdrive::wire
