#include "server/store_backend.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/store_payloads.hpp"
#include "simdrive/hash.hpp"
#include "store/checked.hpp"
#include "store/engine.hpp"

namespace simdrive::server {

namespace {

using store::checked;

/// Those of the files name the operation themselves.
Error named(std::string_view operation, Error error) {
  if (error.code == Errc::invalid_value || error.code == Errc::closed) {
    error.detail = std::string(operation) + ": " + error.detail;
  }
  return error;
}

template <class Call>
auto during(std::string_view operation, Call call) noexcept -> decltype(call()) {
  return checked([&]() -> decltype(call()) {
    auto result = call();
    if (!result) return named(operation, std::move(result).error());
    return result;
  });
}

}  // namespace

Backend::Turn StoreBackend::try_turn() { return engine_->try_turn(); }

Result<std::uint64_t> StoreBackend::write(BytesView key, BytesView payload, Turn turn) {
  return during("write", [&] { return engine_->write(xxh3_64(key), payload, std::move(turn)); });
}

Result<std::uint64_t> StoreBackend::batch_write(std::span<const KeyValue> entries, Turn turn) {
  return during("batch_write", [&] {
    constexpr std::size_t kTogether = 64;
    std::array<BytesView, kTogether> keys;
    std::array<std::uint64_t, kTogether> hashes{};
    std::vector<HashedPayload> records;
    records.reserve(entries.size());
    for (std::size_t i = 0; i < entries.size(); i += kTogether) {
      const std::span<const KeyValue> some = entries.subspan(i, std::min(kTogether, entries.size() - i));
      for (std::size_t j = 0; j < some.size(); ++j) keys[j] = some[j].key;
      xxh3_64_many(std::span(keys).first(some.size()), hashes);
      for (std::size_t j = 0; j < some.size(); ++j) records.push_back({hashes[j], some[j].payload});
    }
    Result<std::uint64_t> tail = engine_->batch_write(records, false, std::move(turn));
    if (!tail && tail.error().code == Errc::invalid_value) {
      Error error = std::move(tail).error();
      error.detail = "entry " + std::to_string(error.offset) + ": " + error.detail;
      tail = std::move(error);
    }
    return tail;
  });
}

Result<std::uint64_t> StoreBackend::erase(BytesView key, Turn turn) {
  return during("delete", [&] {
    const std::uint64_t hash = xxh3_64(key);
    return engine_->erase({&hash, 1}, std::move(turn));
  });
}

Result<bool> StoreBackend::exists(BytesView key) const {
  return during("exists", [&] { return engine_->exists(xxh3_64(key)); });
}

Result<std::uint64_t> StoreBackend::size() const {
  return during("size", [&] { return engine_->size(); });
}

Result<std::uint64_t> StoreBackend::file_size() const {
  return during("file_size", [&] { return engine_->file_size(); });
}

std::uint64_t StoreBackend::tail() const noexcept { return engine_->tail(); }

std::unique_ptr<Payloads> StoreBackend::make_payloads() const { return std::make_unique<StorePayloads>(engine_); }

Result<void> StoreBackend::look_up(std::span<const BytesView> keys, Payloads& found) const {
  auto& payloads = static_cast<StorePayloads&>(found);
  Result<void> done = during("read", [&] { return payloads.look_up(keys); });
  if (!done) payloads.clear();
  return done;
}

bool StoreBackend::writes_may_wait() const noexcept { return engine_->options().sync == StoreSync::always; }

Result<void> StoreBackend::flush() {
  return during("flush", [&] { return engine_->flush(); });
}

}  // namespace simdrive::server
