#include "rpc/request_table.hpp"

#include <algorithm>

namespace simdrive::rpc {
namespace {

Error breach(const char* what) { return {Errc::protocol_error, what, Outcome::unknown, 0}; }

}  // namespace

Result<void> RequestTable::apply(std::span<const Event> events, bool message_failed, std::vector<Request>& ready) {
  if (message_failed) return hold(events);
  std::vector<HeldEvent> held;
  held.swap(held_);
  for (HeldEvent& h : held) {
    bytes_ -= h.bytes.size();
    h.event.bytes = h.bytes;
    if (auto r = apply_one(h.event); !r.ok()) return r;
  }
  for (const Event& event : events) {
    if (auto r = apply_one(event); !r.ok()) return r;
  }
  take_ended(ready);
  return {};
}

Result<void> RequestTable::hold(std::span<const Event> events) {
  for (const Event& event : events) {
    if (event.kind == Event::Kind::error || event.kind == Event::Kind::message_failed) continue;
    if (held_.size() >= limits_.max_entries) return breach("too many events of failed messages");
    if (auto r = charge(event.bytes.size()); !r.ok()) return r;
    held_.push_back({event, Bytes(event.bytes.begin(), event.bytes.end())});
  }
  return {};
}

Result<void> RequestTable::charge(std::size_t bytes) {
  if (bytes > limits_.max_bytes - bytes_) return breach("open requests hold too many bytes");
  bytes_ += bytes;
  return {};
}

Result<void> RequestTable::apply_one(const Event& event) {
  switch (event.kind) {
    case Event::Kind::header: {
      if (entries_.size() >= limits_.max_entries) return breach("too many open requests");
      if (auto r = charge(event.bytes.size()); !r.ok()) return r;
      Entry& entry = entries_[{event.request_id, age_++}];
      entry.method_id = event.method_id;
      entry.meta.assign(event.bytes.begin(), event.bytes.end());
      break;
    }
    case Event::Kind::payload: {
      Key key;
      if (Entry* entry = oldest(event.request_id, key)) {
        if (auto r = charge(event.bytes.size()); !r.ok()) return r;
        entry->payload.insert(entry->payload.end(), event.bytes.begin(), event.bytes.end());
      }
      break;
    }
    case Event::Kind::end: {
      Key key;
      Entry* entry = oldest(event.request_id, key);
      if (entry && !entry->ended) {
        entry->ended = true;
        ended_.push_back(key);
      }
      break;
    }
    case Event::Kind::error:
    case Event::Kind::message_failed: break;
  }
  return {};
}

RequestTable::Entry* RequestTable::oldest(std::uint32_t request_id, Key& key) {
  const auto it = entries_.lower_bound({request_id, 0});
  if (it == entries_.end() || it->first.first != request_id) return nullptr;
  key = it->first;
  return &it->second;
}

void RequestTable::take_ended(std::vector<Request>& ready) {
  std::sort(ended_.begin(), ended_.end(), [](const Key& a, const Key& b) { return a.second < b.second; });
  for (const Key& key : ended_) {
    const auto it = entries_.find(key);
    Entry& entry = it->second;
    bytes_ -= entry.meta.size() + entry.payload.size();
    const bool from_payload = !entry.payload.empty();
    Bytes& args = from_payload ? entry.payload : entry.meta;
    ready.push_back({key.first, entry.method_id, std::move(args), from_payload});
    entries_.erase(it);
  }
  ended_.clear();
}

std::vector<std::uint32_t> RequestTable::open() const {
  std::vector<Key> keys;
  keys.reserve(entries_.size());
  for (const auto& entry : entries_) keys.push_back(entry.first);
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) { return a.second < b.second; });
  std::vector<std::uint32_t> ids;
  ids.reserve(keys.size());
  for (const Key& key : keys) ids.push_back(key.first);
  return ids;
}

}  // namespace simdrive::rpc
