// Timed calls of one store engine: store_bench simdrive|lmdb|lmdb-1txn|append. One command a line on stdin, one JSON
// line as the answer: the language of tests/interop/src/bench.rs, which says what each command means and how it
// measures. Keys, payloads and the order of random reads are the same in both programs.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "store_engines.hpp"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Nanoseconds per call, item, entry or key: by the clock, and CPU time of the whole process where it was asked for.
struct Sample {
  double ns = 0;
  double cpu = -1;
};
using Samples = std::vector<Sample>;

constexpr std::size_t kKeyLength = 14;
constexpr std::size_t kSlack = std::size_t{1} << 20;  // payloads begin anywhere in so many bytes
constexpr std::size_t kFillBatch = 1000;
constexpr std::size_t kLong = std::size_t{1} << 20;  // single writes of so many bytes are long enough for the CPU clock
constexpr std::uint64_t kSeed = 20'240'501;

double cpu_now() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

class Watch {
 public:
  explicit Watch(bool with_cpu) : cpu_(with_cpu ? cpu_now() : -1), wall_(Clock::now()) {}
  [[nodiscard]] Sample stop(std::size_t calls) const {
    const std::chrono::duration<double, std::nano> wall = Clock::now() - wall_;
    const auto count = static_cast<double>(calls);
    return {wall.count() / count, cpu_ < 0 ? -1 : (cpu_now() - cpu_) / count};
  }

 private:
  double cpu_;
  Clock::time_point wall_;
};

struct SplitMix {
  std::uint64_t state;
  std::uint64_t next() {
    state += 0x9E3779B97F4A7C15;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
};

/// Puts a key of kKeyLength bytes behind the others.
void put_key(std::vector<std::uint8_t>& out, const char* prefix, std::uint64_t index) {
  char text[32];
  const int length = std::snprintf(text, sizeof text, "%s%010llu", prefix, static_cast<unsigned long long>(index));
  out.insert(out.end(), text, text + length);
}

std::vector<std::uint8_t> key_of(std::uint64_t index) {
  std::vector<std::uint8_t> key;
  put_key(key, "key:", index);
  return key;
}

/// Bytes of anonymous memory of this process that are resident.
std::uint64_t anonymous() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) * 1024;
  }
  fail("no RssAnon in /proc/self/status");
}

enum class Lookup { read, exists, absent };

template <class Engine>
class Bench {
 public:
  std::string answer(const std::vector<std::string>& words) {
    const std::string command = words.empty() ? "" : words[0];
    const auto number = [&](std::size_t i) { return static_cast<std::size_t>(std::stoull(words.at(i))); };
    if (command == "memory") return "{\"anon\": " + std::to_string(anonymous()) + "}";
    if (command == "create") return json(create(words.at(1)));
    if (command == "open") return json(open(words.at(1), number(2)));
    if (command == "close") return engine_.close(), json({});
    if (command == "write") return json(write(number(1), number(2)));
    if (command == "batch") return json(batch(number(1), number(2), number(3)));
    if (command == "fill") return json(fill(number(1), number(2), number(3)));
    if (command == "read") return json(look_up(Lookup::read, number(1), number(2), number(3)));
    if (command == "exists") return json(look_up(Lookup::exists, number(1), number(2), number(3)));
    if (command == "absent") return json(look_up(Lookup::absent, number(1), number(2), number(3)));
    if (command == "scan") return json(scan(number(1)));
    if (command == "compact") return json(compact());
    fail("unknown command " + command);
  }

 private:
  static std::string json(const Samples& samples) {
    std::ostringstream wall;
    std::ostringstream cpu;
    for (const Sample& sample : samples) {
      wall << (wall.tellp() > 0 ? ", " : "") << sample.ns;
      if (sample.cpu >= 0) cpu << (cpu.tellp() > 0 ? ", " : "") << sample.cpu;
    }
    return "{\"ns\": [" + wall.str() + "]" + (cpu.tellp() > 0 ? ", \"cpu\": [" + cpu.str() + "]" : "") + "}";
  }

  void prepare(std::size_t size) {
    if (pool_.size() >= size + kSlack) return;
    SplitMix random{kSeed};
    pool_.resize((size + kSlack + 7) / 8 * 8);
    for (std::size_t i = 0; i < pool_.size(); i += 8) {
      const std::uint64_t word = random.next();
      std::memcpy(&pool_[i], &word, 8);
    }
  }
  View payload(std::uint64_t index, std::size_t size) const {
    return View(pool_).subspan(static_cast<std::size_t>(index * 0x9E3779B1 % kSlack), size);
  }
  void check(std::uint64_t index, std::size_t size) {
    if (!engine_.equals(key_of(index), payload(index, size))) {
      fail("key " + std::to_string(index) + " reads back as something else");
    }
  }

  Samples create(const std::string& path) {
    next_ = 0;
    const Watch watch(true);
    engine_.create(path);
    return {watch.stop(1)};
  }
  Samples open(const std::string& path, std::size_t count) {
    Samples samples;
    for (std::size_t i = 0; i < count; ++i) {
      engine_.close();
      const Watch watch(true);
      engine_.open(path);
      samples.push_back(watch.stop(1));
    }
    next_ = engine_.size();
    return samples;
  }
  Samples write(std::size_t size, std::size_t count) {
    prepare(size);
    const std::size_t warm = std::max<std::size_t>(count / 10, 1);
    Samples samples;
    for (std::size_t i = 0; i < warm + count; ++i) {
      const auto key = key_of(next_);
      const View data = payload(next_++, size);
      const Watch watch(size >= kLong);
      engine_.write(key, data);
      if (i >= warm) samples.push_back(watch.stop(1));
    }
    check(next_ - 1, size);
    return samples;
  }
  Sample write_batch(std::uint64_t first, std::size_t size, std::size_t items) {
    std::vector<std::uint8_t> keys;
    for (std::size_t i = 0; i < items; ++i) put_key(keys, "key:", first + i);
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < items; ++i) {
      pairs.push_back({View(keys).subspan(i * kKeyLength, kKeyLength), payload(first + i, size)});
    }
    const Watch watch(true);
    engine_.batch(pairs);
    return watch.stop(items);
  }
  Samples batch(std::size_t size, std::size_t items, std::size_t count) {
    prepare(size);
    Samples samples;
    for (std::size_t i = 0; i < count + 1; ++i) {
      const Sample took = write_batch(next_, size, items);
      next_ += items;
      if (i > 0) samples.push_back(took);
    }
    check(next_ - 1, size);
    return samples;
  }
  Samples fill(std::uint64_t first, std::size_t entries, std::size_t size) {
    prepare(size);
    double total = 0;
    for (std::size_t done = 0; done < entries; done += kFillBatch) {
      const std::size_t items = std::min(kFillBatch, entries - done);
      total += write_batch(first + done, size, items).ns * static_cast<double>(items);
    }
    next_ = std::max(next_, first + entries);
    return {{total / static_cast<double>(std::max<std::size_t>(entries, 1)), -1}};
  }
  Samples look_up(Lookup what, std::uint64_t entries, std::size_t windows, std::size_t calls) {
    SplitMix random{kSeed + entries};
    const std::size_t warm = std::max<std::size_t>(windows / 10, 1);
    const std::size_t expected = what == Lookup::absent ? 0 : calls;
    Samples samples;
    std::vector<std::uint8_t> keys;
    for (std::size_t window = 0; window < warm + windows; ++window) {
      // The keys of a window are laid out one behind the other, so that finding them costs nothing.
      keys.clear();
      for (std::size_t i = 0; i < calls; ++i) {
        put_key(keys, what == Lookup::absent ? "gone" : "key:", random.next() % entries);
      }
      std::size_t found = 0;
      std::uint64_t sink = 0;
      const View all(keys);
      engine_.begin_reads();
      const Watch watch(false);
      for (std::size_t i = 0; i < all.size(); i += kKeyLength) {
        const View key = all.subspan(i, kKeyLength);
        if (what == Lookup::read) {
          const int first = engine_.read(key);
          found += first >= 0;
          sink += static_cast<std::uint64_t>(first);
        } else {
          found += engine_.exists(key);
        }
      }
      const Sample took = watch.stop(calls);
      engine_.end_reads();
      if (found != expected) {
        fail(std::to_string(found) + " of " + std::to_string(calls) + " keys were found");
      }
      sink_ = sink_ + sink;
      if (window >= warm) samples.push_back(took);
    }
    return samples;
  }
  Samples scan(std::size_t count) {
    Samples samples;
    for (std::size_t i = 0; i < count + 1; ++i) {
      std::uint64_t sink = 0;
      const Watch watch(true);
      const std::uint64_t entries = engine_.scan(sink);
      const Sample took = watch.stop(std::max<std::uint64_t>(entries, 1));
      sink_ = sink_ + sink;
      if (i > 0) samples.push_back(took);
    }
    return samples;
  }
  Samples compact() {
    const std::uint64_t entries = std::max<std::uint64_t>(engine_.size(), 1);
    const Watch watch(true);
    engine_.compact();
    return {watch.stop(entries)};
  }

  Engine engine_;
  std::vector<std::uint8_t> pool_;
  std::uint64_t next_ = 0;
  volatile std::uint64_t sink_ = 0;  // what was read is used
};

/// For the text of an error message in a JSON string.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

template <class Engine>
int serve() {
  Bench<Engine> bench;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream in(line);
    const std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
    try {
      std::cout << bench.answer(words) << std::endl;
    } catch (const std::exception& error) {
      std::cout << "{\"error\": " << quoted(error.what()) << "}" << std::endl;
    }
  }
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const std::string_view name = argc == 2 ? argv[1] : "";
  if (name == "append") return bench::serve<bench::Append>();
  if (name == "simdrive") return bench::serve<bench::Simdrive>();
#ifdef HAVE_LMDB
  if (name == "lmdb") return bench::serve<bench::Lmdb<false>>();
  if (name == "lmdb-1txn") return bench::serve<bench::Lmdb<true>>();
#endif
  std::cerr << "usage: store_bench ENGINE    one of: append, simdrive"
#ifdef HAVE_LMDB
               ", lmdb, lmdb-1txn"
#endif
               "\n";
  return 2;
}
