#include <algorithm>
#include <cstring>

#include "hash/backend.hpp"
#include "hash/xxh3.hpp"
#include "simdrive/hash.hpp"

namespace simdrive {

Xxh3Stream::Xxh3Stream(std::uint64_t seed) noexcept : buffer_{}, consumed_tail_{}, seed_(seed) {
  static_assert(kSecretBytes == hash::kXxh3SecretBytes && kStripeBytes == hash::kXxh3StripeBytes);
  static_assert(kBufferBytes % kStripeBytes == 0 && kBufferBytes > hash::kXxh3ShortMax);
  hash::derive_xxh3_secret(seed, secret_);
  reset();
}

void Xxh3Stream::reset() noexcept {
  acc_ = hash::kXxh3Start;
  total_bytes_ = 0;
  buffered_ = 0;
  block_stripe_ = 0;
}

void Xxh3Stream::consume(const std::uint8_t* data, std::size_t stripes) noexcept {
  block_stripe_ = hash::active_backend().xxh3.stripes(acc_.data(), data, stripes, block_stripe_, secret_.data());
  std::memcpy(consumed_tail_.data(), data + (stripes - 1) * kStripeBytes, kStripeBytes);
}

void Xxh3Stream::update(BytesView data) noexcept {
  if (data.empty()) return;
  total_bytes_ += data.size();
  const std::size_t room = kBufferBytes - buffered_;
  if (data.size() > room) {
    if (buffered_ != 0) {
      std::memcpy(buffer_.data() + buffered_, data.data(), room);
      data = data.subspan(room);
      consume(buffer_.data(), kBufferBytes / kStripeBytes);
      buffered_ = 0;
    }
    if (data.size() > kBufferBytes) {
      const std::size_t stripes = (data.size() - 1) / kStripeBytes;
      consume(data.data(), stripes);
      data = data.subspan(stripes * kStripeBytes);
    }
  }
  std::memcpy(buffer_.data() + buffered_, data.data(), data.size());
  buffered_ += data.size();
}

std::uint64_t Xxh3Stream::digest() const noexcept {
  if (total_bytes_ <= hash::kXxh3ShortMax) return hash::xxh3_short(buffer_.data(), buffered_, seed_);

  const hash::Xxh3Kernels& kernels = hash::active_backend().xxh3;
  std::array<std::uint64_t, 8> acc = acc_;
  std::array<std::uint8_t, kStripeBytes> joined;
  const std::uint8_t* last = nullptr;
  if (buffered_ >= kStripeBytes) {
    (void)kernels.stripes(acc.data(), buffer_.data(), (buffered_ - 1) / kStripeBytes, block_stripe_, secret_.data());
    last = buffer_.data() + buffered_ - kStripeBytes;
  } else {
    // More than 240 bytes came and fewer than 64 are here, so a stripe was consumed: its end completes them.
    const auto rest = std::copy(consumed_tail_.begin() + static_cast<std::ptrdiff_t>(buffered_), consumed_tail_.end(),
                                joined.begin());
    std::copy_n(buffer_.begin(), buffered_, rest);
    last = joined.data();
  }
  // The last stripe belongs to no block; position 0 of one keeps it from being scrambled.
  (void)kernels.stripes(acc.data(), last, 1, 0, secret_.data() + hash::kXxh3LastStripeOffset);
  return hash::merge_xxh3(acc.data(), total_bytes_, secret_.data());
}

}  // namespace simdrive
