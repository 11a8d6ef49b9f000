// Every backend and every checksum that this CPU can run against plain C++: hashes whole, in pieces and in batches,
// checksums in pieces and while copying. The input says where to cut and how large the keys are.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "hash/backend.hpp"
#include "hash/xxh3.hpp"
#include "simdrive/hash.hpp"

namespace {

using namespace simdrive;
using namespace simdrive::hash;

constexpr std::size_t kGuard = 64;
constexpr std::uint8_t kGuardByte = 0xa5;

void require(bool holds) {
  if (!holds) std::abort();
}

// Numbers that the input decides: any seed gives an endless row of them.
class Choices {
 public:
  explicit Choices(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return state_ >> 33;
  }
  std::size_t up_to(std::size_t most) { return static_cast<std::size_t>(next() % (most + 1)); }

 private:
  std::uint64_t state_;
};

struct Case {
  BytesView data;
  std::uint64_t seed;
  Choices choices;
};

void check_stripes(const Xxh3Kernels& kernels, Case each, const Xxh3Secret& secret) {
  const std::size_t stripes = each.data.size() / kXxh3StripeBytes;
  std::array<std::uint64_t, 8> expected = kXxh3Start;
  const std::size_t begin = each.choices.up_to(kXxh3BlockStripes - 1);
  const std::size_t end = kXxh3Scalar.stripes(expected.data(), each.data.data(), stripes, begin, secret.data());

  std::array<std::uint64_t, 8> acc = kXxh3Start;
  std::size_t block_stripe = begin;
  for (std::size_t done = 0; done < stripes;) {
    const std::size_t most = each.choices.up_to(7) == 0 ? stripes - done : 20;
    const std::size_t piece = std::min(stripes - done, each.choices.up_to(most));
    const std::uint8_t* data = each.data.data() + done * kXxh3StripeBytes;
    block_stripe = kernels.stripes(acc.data(), data, piece, block_stripe, secret.data());
    require(block_stripe < kXxh3BlockStripes);
    done += piece;
  }
  require(block_stripe == end && acc == expected);
}

void check_whole(const Xxh3Kernels& kernels, BytesView data, const Xxh3Secret& secret) {
  if (data.size() <= kXxh3ShortMax) return;
  std::array<std::uint64_t, 8> expected;
  std::array<std::uint64_t, 8> acc;
  kXxh3Scalar.whole(expected.data(), data.data(), data.size(), secret.data());
  kernels.whole(acc.data(), data.data(), data.size(), secret.data());
  require(acc == expected);
}

void check_equal_sized(const Xxh3Kernels& kernels, Case each) {
  const std::size_t size = each.choices.up_to(std::min<std::size_t>(kXxh3ShortMax, each.data.size()));
  const std::size_t count = each.choices.up_to(70);
  std::vector<const std::uint8_t*> items;
  for (std::size_t i = 0; i < count; ++i) {
    items.push_back(each.data.data() + each.choices.up_to(each.data.size() - size));
  }
  std::vector<std::uint64_t> expected(count + 1, each.seed);
  std::vector<std::uint64_t> out(count + 1, each.seed);
  kXxh3Scalar.equal_sized(items.data(), count, size, each.seed, expected.data());
  kernels.equal_sized(items.data(), count, size, each.seed, out.data());
  require(out == expected);
}

// The public functions on the backend that is active.
void check_public(Case each, std::uint64_t expected, std::uint32_t checksum) {
  require(xxh3_64(each.data, each.seed) == expected);
  require(crc32(each.data) == checksum);
  Xxh3Stream stream(each.seed);
  std::vector<BytesView> items;
  for (BytesView rest = each.data; !rest.empty(); rest = rest.subspan(items.back().size())) {
    items.push_back(rest.first(std::min(rest.size(), each.choices.up_to(400))));
    if (items.size() > 300) items.back() = rest;
    stream.update(items.back());
  }
  require(stream.digest() == expected);

  std::vector<std::uint64_t> out(items.size());
  xxh3_64_many(items, out, each.seed);
  for (std::size_t i = 0; i < items.size(); ++i) require(out[i] == xxh3_64(items[i], each.seed));

  const std::size_t stride = 1 + each.choices.up_to(300);
  const std::size_t width = each.choices.up_to(std::min<std::size_t>(300, each.data.size()));
  out.resize((each.data.size() - width) / stride + 1);
  xxh3_64_rows(each.data.data(), width, stride, out, each.seed);
  for (std::size_t i = 0; i < out.size(); ++i) {
    require(out[i] == xxh3_64(each.data.subspan(i * stride, width), each.seed));
  }
}

void check_crc32(const Crc32Kernels& kernels, Case each, std::uint32_t reg, std::uint32_t expected) {
  require(kernels.update(reg, each.data.data(), each.data.size()) == expected);

  const std::size_t shift = each.choices.up_to(kGuard - 1);
  std::vector<std::uint8_t> copied(shift + each.data.size() + kGuard, kGuardByte);
  for (std::size_t done = 0; done < each.data.size();) {
    const std::size_t left = each.data.size() - done;
    const std::size_t most = each.choices.up_to(3) == 0 ? left : 600;
    const std::size_t piece = std::min(left, 1 + each.choices.up_to(most));
    const std::uint8_t* from = each.data.data() + done;
    reg = each.choices.up_to(1) == 0 ? kernels.update(reg, from, piece)
                                     : kernels.copy(reg, copied.data() + shift + done, from, piece);
    done += piece;
  }
  require(reg == expected);

  const auto begin = copied.begin() + static_cast<std::ptrdiff_t>(shift);
  const auto end = begin + static_cast<std::ptrdiff_t>(each.data.size());
  require(kernels.copy(0, copied.data() + shift, each.data.data(), each.data.size()) ==
          kCrc32Scalar.update(0, each.data.data(), each.data.size()));
  require(std::equal(begin, end, each.data.begin()));
  const auto untouched = [](std::uint8_t byte) { return byte == kGuardByte; };
  require(std::all_of(copied.begin(), begin, untouched) && std::all_of(end, copied.end(), untouched));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHeader = 9;
  if (size < kHeader) return 0;
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8 | data[i];
  // Half of the inputs without a seed, as keys are hashed; all at an alignment that the input chooses.
  const std::uint64_t seed = (number & 1) == 0 ? 0 : number;
  const std::size_t shift = data[8] % 64;
  std::vector<std::uint8_t> moved(shift);
  // As often as the header says, so that a few bytes of input make a long one.
  for (unsigned times = 0; times <= data[8] / 64U; ++times) moved.insert(moved.end(), data + kHeader, data + size);
  const Case each{BytesView(moved).subspan(shift), seed, Choices(number)};

  Xxh3Secret secret;
  derive_xxh3_secret(seed, secret);
  require(set_hash_backend("scalar").ok());
  const std::uint64_t expected = xxh3_64(each.data, seed);
  const auto reg = static_cast<std::uint32_t>(number >> 16);
  const std::uint32_t expected_reg = kCrc32Scalar.update(reg, each.data.data(), each.data.size());
  const std::uint32_t checksum = crc32(each.data);

  const BackendList backends = usable_backends();
  for (std::size_t i = 0; i < backends.count; ++i) {
    const Backend& backend = backends.first[i];
    require(set_hash_backend(backend.name).ok());
    check_stripes(backend.xxh3, each, secret);
    check_whole(backend.xxh3, each.data, secret);
    check_equal_sized(backend.xxh3, each);
    check_public(each, expected, checksum);
  }
  const Crc32List checksums = usable_crc32();
  for (std::size_t i = 0; i < checksums.count; ++i) {
    check_crc32(checksums.first[i].kernels, each, reg, expected_reg);
  }
  return 0;
}
