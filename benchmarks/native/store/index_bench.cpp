// The key index beside std::unordered_map and a flat map with linear probing, on the same hashes, interleaved.
//   index_bench [KEYS [ROUNDS]]      1000000 keys and 5 rounds by default; Linux only, for the resident memory
// Times are the best of the rounds, in ns of the processor's time. "random" reads
// keys in random order, as fast as the processor overlaps them; "chained" makes each read wait for the one before: the
// latency. "guarded" enters the epoch for each read.
#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/epoch.hpp"
#include "store/index.hpp"

namespace {

using simdrive::store::Epoch;
using simdrive::store::Index;

volatile std::uint64_t g_sink;

std::size_t resident_bytes() {
  char text[128] = {};
  const int file = ::open("/proc/self/statm", O_RDONLY);
  if (file < 0 || ::read(file, text, sizeof text - 1) <= 0) std::exit(1);
  ::close(file);
  std::size_t pages = 0;
  if (std::sscanf(text, "%*u %zu", &pages) != 1) std::exit(1);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Open addressing, power of two, 16 bytes a slot, at most 7/8 full, doubles.
class FlatMap {
 public:
  FlatMap() : slots_(16) {}

  std::uint64_t find(std::uint64_t hash) const {
    for (std::size_t i = hash & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].hash == hash) return slots_[i].offset;
      if (slots_[i].offset == 0) return 0;
    }
  }
  void set(std::uint64_t hash, std::uint64_t offset) {
    if ((size_ + 1) * 8 > slots_.size() * 7) {
      std::vector<Index::Entry> old(slots_.size() * 2);
      old.swap(slots_);
      size_ = 0;
      for (const Index::Entry& entry : old) {
        if (entry.offset != 0) set(entry.hash, entry.offset);
      }
    }
    std::size_t i = hash & (slots_.size() - 1);
    while (slots_[i].offset != 0 && slots_[i].hash != hash) i = (i + 1) & (slots_.size() - 1);
    if (slots_[i].offset == 0) ++size_;
    slots_[i] = {hash, offset};
  }

 private:
  std::vector<Index::Entry> slots_;
  std::size_t size_ = 0;
};

// A hash that is a hash already.
struct Same {
  std::size_t operator()(std::uint64_t hash) const { return hash; }
};
using NodeMap = std::unordered_map<std::uint64_t, std::uint64_t, Same>;

class Report {
 public:
  void add(const std::string& name, double value) {
    if (values_.find(name) == values_.end()) order_.push_back(name);
    double& best = values_.emplace(name, std::numeric_limits<double>::infinity()).first->second;
    best = std::min(best, value);
  }
  void print() const {
    for (const std::string& name : order_) std::printf("%-42s %10.1f\n", name.c_str(), values_.at(name));
  }

 private:
  std::vector<std::string> order_;
  std::map<std::string, double> values_;
};

// Of this thread alone, since other programs share the machine.
double processor_ns() {
  timespec now{};
  if (::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) std::exit(1);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

template <class Run>
double ns_each(std::size_t count, Run&& run) {
  const double start = processor_ns();
  run();
  return (processor_ns() - start) / static_cast<double>(count);
}

// run() in a process of its own, whose heap nobody used before.
template <class Run>
double in_child(Run&& run) {
  int ends[2];
  if (::pipe(ends) != 0) std::exit(1);
  const pid_t child = ::fork();
  if (child == 0) {
    const double value = run();
    ::_exit(::write(ends[1], &value, sizeof value) == sizeof value ? 0 : 1);
  }
  ::close(ends[1]);
  double value = 0;
  if (child < 0 || ::read(ends[0], &value, sizeof value) != sizeof value) std::exit(1);
  ::close(ends[0]);
  if (::waitpid(child, nullptr, 0) != child) std::exit(1);
  return value;
}

// random, chained and hot, of anything with a find function.
template <class Find>
void measure_reads(Report& report, const std::string& name, const std::vector<std::uint64_t>& order, Find&& find) {
  const std::size_t count = order.size();
  report.add(name + " find random", ns_each(count, [&] {
               std::uint64_t sum = 0;
               for (const std::uint64_t hash : order) sum += find(hash);
               g_sink = sum;
             }));
  report.add(name + " find random chained", ns_each(count, [&] {
               std::uint64_t last = 0;
               for (const std::uint64_t hash : order) last = find(hash ^ (last >> 60));
               g_sink = last;
             }));
  const std::size_t hot = std::min<std::size_t>(count, 256);
  report.add(name + " find hot", ns_each(hot * 4000, [&] {
               std::uint64_t sum = 0;
               for (int i = 0; i < 4000; ++i) {
                 for (std::size_t j = 0; j < hot; ++j) sum += find(order[j]);
               }
               g_sink = sum;
             }));
  report.add(name + " find absent random", ns_each(count, [&] {
               std::uint64_t sum = 0;
               for (const std::uint64_t hash : order) sum += find(~hash);
               g_sink = sum;
             }));
}

constexpr std::size_t kBatch = 1024;

void put_in_batches(Index& index, const std::vector<Index::Entry>& entries) {
  for (std::size_t i = 0; i < entries.size(); i += kBatch) {
    if (!index.put_if_absent_many({&entries[i], std::min(kBatch, entries.size() - i)})) std::exit(1);
  }
}

void set_all(Index& index, const std::vector<Index::Entry>& entries) {
  for (const Index::Entry& entry : entries) {
    if (!index.set(entry.hash, entry.offset)) std::exit(1);
  }
}

void measure_memory(Report& report, const std::vector<Index::Entry>& entries) {
  const auto count = static_cast<double>(entries.size());
  const auto of_index = [&](bool known) {
    return in_child([&] {
      const std::size_t before = resident_bytes();
      Epoch epoch;
      const auto index = std::make_unique<Index>(epoch);
      if (known) index->expect(entries.size());
      put_in_batches(*index, entries);
      return static_cast<double>(resident_bytes() - before) / count;
    });
  };
  report.add("index resident bytes a key, grown", of_index(false));
  report.add("index resident bytes a key, number known", of_index(true));
  report.add("index most resident a key while growing", in_child([&] {
               const std::size_t before = resident_bytes();
               Epoch epoch;
               const auto index = std::make_unique<Index>(epoch);
               double most = 0;
               for (std::size_t i = 0; i < entries.size(); ++i) {
                 if (!index->set(entries[i].hash, entries[i].offset)) std::exit(1);
                 if (i >= entries.size() / 4 && i % (entries.size() / 256 + 1) == 0) {
                   most = std::max(most, static_cast<double>(resident_bytes() - before) / static_cast<double>(i + 1));
                 }
               }
               return most;
             }));
  report.add("unordered_map resident bytes a key", in_child([&] {
               const std::size_t before = resident_bytes();
               NodeMap map;
               for (const Index::Entry& entry : entries) map[entry.hash] = entry.offset;
               return static_cast<double>(resident_bytes() - before) / count;
             }));
  report.add("flat map resident bytes a key", in_child([&] {
               const std::size_t before = resident_bytes();
               FlatMap map;
               for (const Index::Entry& entry : entries) map.set(entry.hash, entry.offset);
               return static_cast<double>(resident_bytes() - before) / count;
             }));
}

template <class Set>
double longest_us(const std::vector<Index::Entry>& entries, Set&& set) {
  double longest = 0;
  for (const Index::Entry& entry : entries) {
    const double start = processor_ns();
    set(entry);
    longest = std::max(longest, (processor_ns() - start) / 1000);
  }
  return longest;
}

void measure_index(Report& report, const std::vector<Index::Entry>& entries, const std::vector<std::uint64_t>& order) {
  const std::size_t count = entries.size();
  {
    Epoch epoch;
    Index index(epoch);
    report.add("index set one by one", ns_each(count, [&] { set_all(index, entries); }));
    report.add("index set again", ns_each(count, [&] { set_all(index, entries); }));
    report.add("index memory_bytes() a key, grown",
               static_cast<double>(index.memory_bytes()) / static_cast<double>(count));
  }
  {
    Epoch epoch;
    Index index(epoch);
    report.add("index longest set() in us",
               longest_us(entries, [&](const Index::Entry& entry) { (void)index.set(entry.hash, entry.offset); }));
  }
  {
    Epoch epoch;
    Index index(epoch);
    report.add("index build in batches", ns_each(count, [&] { put_in_batches(index, entries); }));
  }
  Epoch epoch;
  Index index(epoch);
  report.add("index build in batches, number known", ns_each(count, [&] {
               index.expect(count);
               put_in_batches(index, entries);
             }));
  {
    const auto guard = epoch.enter();
    measure_reads(report, "index", order, [&](std::uint64_t hash) { return index.find(hash, guard); });
    std::vector<std::uint64_t> offsets(kBatch);
    report.add("index find_many of 1024", ns_each(count, [&] {
                 for (std::size_t i = 0; i < count; i += kBatch) {
                   index.find_many({&order[i], std::min(kBatch, count - i)}, offsets, guard);
                 }
               }));
  }
  measure_reads(report, "index guarded", order, [&](std::uint64_t hash) { return index.find(hash, epoch.enter()); });
  report.add("epoch guard alone", ns_each(1000000, [&] {
               for (int i = 0; i < 1000000; ++i) (void)epoch.enter();
             }));
}

template <class Map, class Set, class Find>
void measure_map(Report& report, const std::string& name, const std::vector<Index::Entry>& entries,
                 const std::vector<std::uint64_t>& order, Set&& set, Find&& find) {
  {
    Map map;
    report.add(name + " set one by one", ns_each(entries.size(), [&] {
                 for (const Index::Entry& entry : entries) set(map, entry);
               }));
    measure_reads(report, name, order, [&](std::uint64_t hash) { return find(map, hash); });
  }
  Map map;
  report.add(name + " longest set() in us", longest_us(entries, [&](const Index::Entry& entry) { set(map, entry); }));
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  if (count == 0 || rounds < 1) {
    std::fprintf(stderr, "usage: index_bench [KEYS [ROUNDS]], both at least 1\n");
    return 2;
  }
  std::mt19937_64 random(1);
  std::vector<Index::Entry> entries(count);
  for (std::size_t i = 0; i < count; ++i) entries[i] = {random(), (i + 1) * 64};
  std::vector<std::uint64_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = entries[i].hash;
  std::shuffle(order.begin(), order.end(), random);

  Report report;
  measure_memory(report, entries);
  for (int round = 0; round < rounds; ++round) {
    measure_index(report, entries, order);
    measure_map<NodeMap>(
        report, "unordered_map", entries, order,
        [](NodeMap& map, const Index::Entry& entry) { map[entry.hash] = entry.offset; },
        [](const NodeMap& map, std::uint64_t hash) {
          const auto found = map.find(hash);
          return found == map.end() ? 0 : found->second;
        });
    measure_map<FlatMap>(
        report, "flat map", entries, order,
        [](FlatMap& map, const Index::Entry& entry) { map.set(entry.hash, entry.offset); },
        [](const FlatMap& map, std::uint64_t hash) { return map.find(hash); });
  }
  std::printf("%zu keys, best of %d rounds, ns unless it says otherwise\n", count, rounds);
  report.print();
  return 0;
}
