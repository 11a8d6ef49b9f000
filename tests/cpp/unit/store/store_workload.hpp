// What stores do in the tests of faults and of crashes, and what they hold afterwards.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "store/store_calls.hpp"

namespace simdrive::test {

/// What two stores hold: the one under test, and one that entries are copied to.
struct State {
  Contents main;
  Contents other;
  friend bool operator==(const State&, const State&) = default;
};

/// One step of a workload: what it does to a store and another, and what they hold after it.
struct Step {
  std::string name;
  std::function<Result<void>(Store&, Store&)> act;
  std::function<void(State&)> effect;
};

inline Result<void> done(const Result<std::uint64_t>& result) { return result ? Result<void>() : result.error(); }

/// Steps that need a key have no effect without it.
inline Result<void> done_if_there(const Result<std::uint64_t>& result) {
  if (!result && result.error().code == Errc::key_not_found) return {};
  return done(result);
}

inline std::uint64_t hash_of(const std::string& key) { return xxh3_64(view_of(key)); }

inline Step rename_step(const std::string& key, const std::string& to) {
  return {"rename", [=](Store& s, Store&) { return done_if_there(s.rename(view_of(key), view_of(to))); },
          [=](State& state) {
            const auto from = state.main.find(hash_of(key));
            if (from == state.main.end()) return;
            state.main[hash_of(to)] = from->second;
            state.main.erase(hash_of(key));
          }};
}

inline Step copy_step(const std::string& key, bool transfers) {
  return {transfers ? "transfer" : "copy",
          [=](Store& s, Store& other) {
            return done_if_there(transfers ? s.transfer(view_of(key), other) : s.copy(view_of(key), other));
          },
          [=](State& state) {
            const auto from = state.main.find(hash_of(key));
            if (from == state.main.end()) return;
            state.other[hash_of(key)] = from->second;
            if (transfers) state.main.erase(from);
          }};
}

inline Step batch_erase_step(const std::string& key, const std::string& other) {
  return {"batch erase",
          [=](Store& s, Store&) {
            const std::vector<BytesView> keys = {view_of(key), view_of("never there"), view_of(other)};
            return done(s.batch_erase(keys));
          },
          [=](State& state) {
            state.main.erase(hash_of(key));
            state.main.erase(hash_of(other));
          }};
}

inline Step stream_step(const std::string& key, const std::string& value) {
  return {"stream",
          [=](Store& s, Store&) {
            TextSource source{value, 70'000};
            return done(s.write_stream(view_of(key), source.source()));
          },
          [=](State& state) { state.main[hash_of(key)] = value; }};
}

inline Step batch_step(const std::string& key, const std::string& value, const std::string& other) {
  return {"batch",
          [=](Store& s, Store&) {
            const std::vector<KeyValue> batch = {{view_of(key), view_of(value)}, {view_of(other), view_of("batched")}};
            return done(s.batch_write(batch));
          },
          [=](State& state) {
            state.main[hash_of(key)] = value;
            state.main[hash_of(other)] = "batched";
          }};
}

/// A workload over five keys; the same for the same seed.
inline std::vector<Step> workload(unsigned seed, int count, bool with_compaction) {
  std::mt19937 random(seed);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  std::vector<Step> steps;
  for (int i = 0; i < count; ++i) {
    const std::string key(1, static_cast<char>('a' + pick(5)));
    std::string other(1, static_cast<char>('a' + pick(5)));
    if (other == key) other = "f";
    constexpr std::size_t kSizes[] = {1, 8, 44, 45, 100, 700, 5000};
    std::string value(kSizes[pick(7)], static_cast<char>('A' + i % 26));
    if (value.size() > 30 && pick(3) == 0) value.replace(5, 20, 20, '\0');  // false chains must not be believed
    switch (pick(with_compaction ? 9 : 8)) {
      case 0:
      case 1:
        steps.push_back({"write", [=](Store& s, Store&) { return done(s.write(view_of(key), view_of(value))); },
                         [=](State& state) { state.main[hash_of(key)] = value; }});
        break;
      case 2:
        steps.push_back({"erase", [=](Store& s, Store&) { return done(s.erase(view_of(key))); },
                         [=](State& state) { state.main.erase(hash_of(key)); }});
        break;
      case 3: steps.push_back(batch_step(key, value, other)); break;
      case 4: {
        const std::string large(300'000, static_cast<char>('a' + i % 26));
        steps.push_back(stream_step(key, pick(4) == 0 ? large : value));
        break;
      }
      case 5: steps.push_back(rename_step(key, other)); break;
      case 6: steps.push_back(batch_erase_step(key, other)); break;
      case 7: steps.push_back(copy_step(key, pick(2) == 0)); break;
      default:
        steps.push_back({"compact",
                         [=](Store& s, Store&) {
                           const Result<CompactResult> compacted = s.compact();
                           return compacted ? Result<void>() : Result<void>(compacted.error());
                         },
                         [](State&) {}});
    }
  }
  return steps;
}

/// The states between two, of a step of which only the first record is there: an entry of a batch, the new entry of a
/// rename, a tombstone of some, the copy of a transfer.
inline std::vector<State> parts_between(const State& before, const State& after) {
  std::vector<State> parts;
  bool adds = false;
  if (after.other != before.other) parts.push_back({before.main, after.other});
  for (const auto& [hash, payload] : after.main) {
    const auto found = before.main.find(hash);
    if (found != before.main.end() && found->second == payload) continue;
    adds = true;
    parts.push_back(before);
    parts.back().main[hash] = payload;
  }
  for (const auto& [hash, payload] : before.main) {
    if (adds || after.other != before.other || after.main.count(hash) != 0) continue;
    parts.push_back(before);
    parts.back().main.erase(hash);
  }
  return parts;
}

}  // namespace simdrive::test
