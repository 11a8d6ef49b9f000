// XXH3 and CRC-32 of this library beside other implementations. A benchmark is named group/implementation/size; the
// groups:
//   xxh3        one buffer after the other; up to 240 bytes from ever new places in the first-level cache
//   xxh3_shifted, crc32_shifted
//               the same 48 bytes after the start of a cache line, where the contents of a Python object may begin
//   xxh3_chain  each hash says where the next buffer is, so that nothing overlaps: what a table look-up waits for
//   rows        1000 keys, one after the other in memory, size bytes each
//   many        the same keys through a list of pointers
//   crc32       one buffer after the other
//   copy_crc32  the bytes are copied, too
//   memory      copying and reading alone
// Every result is compared before anything is measured.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "hash/backend.hpp"
#include "memory.hpp"
#include "simdrive/hash.hpp"

#if defined(HAVE_ZLIB)
#include <zlib.h>
#endif
#if defined(HAVE_ISAL)
#include <isa-l/crc.h>
#endif

extern "C" {
#define DECLARE_OFFICIAL(set)                                            \
  std::uint64_t official_xxh3_##set(const void* data, std::size_t size); \
  void official_rows_##set(const std::uint8_t* rows, std::size_t width, std::size_t count, std::uint64_t* out)
DECLARE_OFFICIAL(sse2);
DECLARE_OFFICIAL(avx2);
DECLARE_OFFICIAL(avx512);
DECLARE_OFFICIAL(neon);
DECLARE_OFFICIAL(scalar);
std::uint64_t XXH3_64bits_dispatch(const void* data, std::size_t size);
std::uint32_t peer_crc32fast(std::uint32_t value, const std::uint8_t* data, std::size_t size);
std::uint32_t peer_zlib_ng(std::uint32_t value, const std::uint8_t* data, std::size_t size);
}

namespace {

using Byte = std::uint8_t;

constexpr std::size_t kSizes[] = {8, 16, 32, 64, 240, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20};
constexpr std::size_t kLargest = 256 << 20;
constexpr std::size_t kShortMax = 240;
constexpr std::size_t kWindow = 4096;  // short buffers begin anywhere in here, at a multiple of 8
constexpr std::size_t kShiftedSizes[] = {1 << 10, 4 << 10, 64 << 10, 1 << 20};
constexpr std::size_t kShift = 48;
constexpr std::size_t kKeys = 1000;
constexpr std::size_t kKeySizes[] = {8, 16, 32, 64};

struct Memory {
  Byte* from;
  Byte* to;
};

Byte* new_bytes(std::size_t size) {
  void* bytes = std::aligned_alloc(4096, size);
  if (bytes == nullptr) {
    std::fputs("hash_bench: not enough memory\n", stderr);
    std::exit(1);
  }
  return static_cast<Byte*>(bytes);
}

const Memory& memory() {
  static const Memory both = [] {
    const std::size_t size = kLargest + 2 * kWindow;
    Memory made = {new_bytes(size), new_bytes(size)};
    std::uint64_t state = 1;
    for (std::size_t i = 0; i < size; i += 8) {  // splitmix64
      std::uint64_t z = state += 0x9E3779B97F4A7C15U;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
      z ^= z >> 31;
      std::memcpy(made.from + i, &z, 8);
    }
    std::memset(made.to, 1, size);
    return made;
  }();
  return both;
}

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "hash_bench: %s\n", what.c_str());
  std::exit(1);
}

void use_backend(const std::string& name) {
  if (!name.empty()) require(simdrive::set_hash_backend(name).ok(), "no backend " + name);
}

std::string label(const char* group, const std::string& implementation, std::size_t size) {
  return std::string(group) + "/" + implementation + "/" + std::to_string(size);
}

void set_bytes(benchmark::State& state, std::size_t size) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(size));
}

// Large inputs wait for memory, which other machines on the same hardware disturb: these take more time.
template <class Body>
void add_sized(const std::string& name, std::size_t size, Body body) {
  auto* added = benchmark::RegisterBenchmark(name.c_str(), body);
  if (size >= kLargest / 16) added->MinTime(size == kLargest ? 0.1 : 0.02);
}

// `backend`: what this library is to run on, empty for the others. Call is a type of its own for each
// implementation, so that no loop calls through a pointer.
template <class Call>
void add_buffers(const char* group, const std::string& implementation, const std::string& backend, Call call) {
  for (const std::size_t size : kSizes) {
    add_sized(label(group, implementation, size), size, [=](benchmark::State& state) {
      use_backend(backend);
      const Byte* const data = memory().from;
      const std::size_t step = size <= kShortMax ? 72 : 0;
      std::size_t at = 0;
      for (auto _ : state) {
        benchmark::DoNotOptimize(call(data + at, size));
        at = (at + step) % kWindow;
      }
      set_bytes(state, size);
    });
  }
}

template <class Call>
void add_shifted(const char* group, const std::string& implementation, const std::string& backend, Call call) {
  for (const std::size_t size : kShiftedSizes) {
    add_sized(label(group, implementation, size), size, [=](benchmark::State& state) {
      use_backend(backend);
      for (auto _ : state) benchmark::DoNotOptimize(call(memory().from + kShift, size));
      set_bytes(state, size);
    });
  }
}

template <class Call>
void add_chain(const std::string& implementation, Call call) {
  for (const std::size_t size : kSizes) {
    if (size > kShortMax) break;
    benchmark::RegisterBenchmark(label("xxh3_chain", implementation, size).c_str(), [=](benchmark::State& state) {
      const Byte* const data = memory().from;
      std::size_t at = 0;
      for (auto _ : state) at = static_cast<std::size_t>(call(data + at, size)) % kWindow / 8 * 8;
      benchmark::DoNotOptimize(at);
      set_bytes(state, size);
    });
  }
}

// Rows: (rows, width, out of kKeys).
template <class Rows>
void add_keys(const char* group, const std::string& implementation, const std::string& backend, Rows hash_rows) {
  for (const std::size_t width : kKeySizes) {
    benchmark::RegisterBenchmark(label(group, implementation, width).c_str(), [=](benchmark::State& state) {
      use_backend(backend);
      std::array<std::uint64_t, kKeys> out{};
      for (auto _ : state) {
        hash_rows(memory().from, width, out.data());
        benchmark::ClobberMemory();
      }
      set_bytes(state, kKeys * width);
      state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(kKeys));
    });
  }
}

template <class Copy>
void add_copies(const std::string& implementation, const std::string& backend, Copy copy) {
  for (const std::size_t size : kSizes) {
    add_sized(label("copy_crc32", implementation, size), size, [=](benchmark::State& state) {
      use_backend(backend);
      for (auto _ : state) {
        benchmark::DoNotOptimize(copy(memory().to, memory().from, size));
        benchmark::ClobberMemory();
      }
      set_bytes(state, size);
    });
  }
}

// ---- This library ---------------------------------------------------------------------------------------------
std::uint64_t reference_hash(std::size_t size) {
  use_backend("scalar");
  return simdrive::xxh3_64({memory().from, size});
}

std::uint32_t reference_crc32(std::size_t size) {
  return ~simdrive::hash::kCrc32Scalar.update(~0U, memory().from, size);
}

template <class Call>
void check_hash(const std::string& implementation, const std::string& backend, Call call) {
  for (const std::size_t size : kSizes) {
    const std::uint64_t expected = reference_hash(size);
    use_backend(backend);
    require(call(memory().from, size) == expected, "wrong hash: " + label("xxh3", implementation, size));
  }
}

template <class Call>
void check_crc32(const std::string& implementation, const std::string& backend, Call call) {
  for (const std::size_t size : kSizes) {
    use_backend(backend);
    require(call(memory().from, size) == reference_crc32(size),
            "wrong checksum: " + label("crc32", implementation, size));
  }
}

void add_our_xxh3(const std::string& backend) {
  const std::string name = "simdrive_" + backend;
  const auto call = [](const Byte* data, std::size_t size) { return simdrive::xxh3_64({data, size}); };
  check_hash(name, backend, call);
  add_buffers("xxh3", name, backend, call);
  add_shifted("xxh3_shifted", name, backend, call);
  add_keys("rows", name, backend, [](const Byte* rows, std::size_t width, std::uint64_t* out) {
    simdrive::xxh3_64_rows(rows, width, width, {out, kKeys});
  });
  for (const std::size_t width : kKeySizes) {
    benchmark::RegisterBenchmark(label("many", name, width).c_str(), [=](benchmark::State& state) {
      use_backend(backend);
      std::vector<simdrive::BytesView> items;
      for (std::size_t i = 0; i < kKeys; ++i) items.emplace_back(memory().from + i * width, width);
      std::array<std::uint64_t, kKeys> out{};
      for (auto _ : state) {
        simdrive::xxh3_64_many(items, out);
        benchmark::ClobberMemory();
      }
      set_bytes(state, kKeys * width);
      state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(kKeys));
    });
  }
}

// What a caller gets who forces `backend`: several backends may share one checksum.
void add_our_crc32(const std::string& checksum, const std::string& backend) {
  const std::string name = "simdrive_" + checksum;
  const auto call = [](const Byte* data, std::size_t size) { return simdrive::crc32({data, size}); };
  const auto fused = [](Byte* to, const Byte* from, std::size_t size) {
    return simdrive::copy_crc32({to, size}, {from, size});
  };
  const auto apart = [](Byte* to, const Byte* from, std::size_t size) {
    std::memcpy(to, from, size);
    return simdrive::crc32({to, size});
  };
  check_crc32(name, backend, call);
  check_crc32(name, backend, [&](const Byte* data, std::size_t size) { return fused(memory().to, data, size); });
  add_buffers("crc32", name, backend, call);
  add_shifted("crc32_shifted", name, backend, call);
  add_copies(name, backend, fused);
  add_copies("memcpy_then_" + checksum, backend, apart);
}

void add_ours() {
  const simdrive::hash::BackendList backends = simdrive::hash::usable_backends();
  std::vector<std::string> seen;
  for (std::size_t i = 0; i < backends.count; ++i) {
    const simdrive::hash::Backend& each = backends.first[i];
    add_our_xxh3(each.name);
    if (std::find(seen.begin(), seen.end(), each.crc32_name) != seen.end()) continue;
    seen.emplace_back(each.crc32_name);
    add_our_crc32(each.crc32_name, each.name);
  }
  add_chain("simdrive", [](const Byte* data, std::size_t size) { return simdrive::xxh3_64({data, size}); });
}

// ---- The others -------------------------------------------------------------------------------------------------
template <class Call>
void add_xxh3(const std::string& name, Call call) {
  check_hash(name, "", call);
  add_buffers("xxh3", name, "", call);
  add_shifted("xxh3_shifted", name, "", call);
  add_chain(name, call);
}

template <class Call>
void add_crc32(const std::string& name, Call call) {
  check_crc32(name, "", call);
  add_buffers("crc32", name, "", call);
  add_shifted("crc32_shifted", name, "", call);
}

#define ADD_OFFICIAL(set)                                                                                             \
  do {                                                                                                                \
    if (std::string_view(#set) == "scalar" || simdrive::set_hash_backend(#set).ok()) {                                \
      add_xxh3("official_" #set, [](const Byte* data, std::size_t size) { return official_xxh3_##set(data, size); }); \
      add_keys("rows", "official_" #set, "", [](const Byte* rows, std::size_t width, std::uint64_t* out) {            \
        official_rows_##set(rows, width, kKeys, out);                                                                 \
      });                                                                                                             \
    }                                                                                                                 \
  } while (false)

void add_others() {
#if defined(HAVE_OFFICIAL_SSE2)
  ADD_OFFICIAL(sse2);
#endif
#if defined(HAVE_OFFICIAL_AVX2)
  ADD_OFFICIAL(avx2);
#endif
#if defined(HAVE_OFFICIAL_AVX512)
  ADD_OFFICIAL(avx512);
#endif
#if defined(HAVE_OFFICIAL_NEON)
  ADD_OFFICIAL(neon);
#endif
#if defined(HAVE_OFFICIAL_SCALAR)
  ADD_OFFICIAL(scalar);
#endif
#if defined(HAVE_OFFICIAL_DISPATCH)
  add_xxh3("official_dispatch", [](const Byte* data, std::size_t size) { return XXH3_64bits_dispatch(data, size); });
#endif
#if defined(HAVE_ISAL)
  add_crc32("isal", [](const Byte* data, std::size_t size) { return crc32_gzip_refl(0, data, size); });
#endif
#if defined(HAVE_ZLIB)
  add_crc32("zlib",
            [](const Byte* data, std::size_t size) { return static_cast<std::uint32_t>(crc32_z(0, data, size)); });
#endif
#if defined(HAVE_CRATES)
  add_crc32("zlib_ng", [](const Byte* data, std::size_t size) { return peer_zlib_ng(0, data, size); });
  add_crc32("crc32fast", [](const Byte* data, std::size_t size) { return peer_crc32fast(0, data, size); });
#endif
}

void add_memory() {
  add_buffers("memory", "read", "", [](const Byte* data, std::size_t size) { return read_sum(data, size); });
  const auto copy = [](Byte* to, const Byte* from, std::size_t size) {
    std::memcpy(to, from, size);
    return to[0];
  };
  add_copies("memcpy", "", copy);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("backend", std::string(simdrive::hash_backend()));
  add_ours();
  add_others();
  add_memory();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
