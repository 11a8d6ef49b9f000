// Opening: which records of a file are the store, and what must happen before it can be written. Nothing is changed
// here; the caller carries the plan out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "simdrive/error.hpp"
#include "store/byte_source.hpp"
#include "store/format.hpp"
#include "store/walk.hpp"

namespace simdrive::store {

enum class Action : std::uint8_t {
  open,       // the tail is the end of the file
  cut,        // keep a copy of [tail, file end), then truncate to tail
  read_only,  // an older layout: its records can be read, nothing may be appended or cut
  refuse,     // leave the file as it is; `refusal` says why
};

enum class Refusal : std::uint8_t {
  none,
  corrupt,  // intact or synced records would be lost: only recover() may do that
  format,   // not one valid record: probably no store
};

/// What the sync mark was worth.
enum class MarkState : std::uint8_t {
  none,        // there was none
  matched,     // its trailer is in the file: only what lies behind it was checked
  mismatched,  // the file has another trailer there, or ends before it
};

enum class Rule : std::uint8_t {
  safe,      // chain, checksum and no zero trailer; nothing intact is cut
  original,  // the reference engine's: the first chain that reaches 0, whatever it holds; to compare with it
};

enum class Check : std::uint8_t {
  behind_mark,  // every record behind a mark that matches; without one, the whole chain
  all,          // the whole chain
  newest,       // the newest record: for a reader in a hurry
};

struct RecoverOptions {
  Rule rule = Rule::safe;
  Check check = Check::behind_mark;
  /// Turns every refusal but that of a foreign file into a cut at the best tail: what recover() does.
  bool permit_loss = false;
  Progress progress{};
};

struct Plan {
  Action action = Action::open;
  Refusal refusal = Refusal::none;
  MarkState mark = MarkState::none;
  Layout layout = Layout::aligned64;
  /// The records of the store end here. With `refuse`, the highest tail that could be accepted, or 0.
  std::uint64_t tail = 0;
  std::uint64_t size = 0;
  /// Records of the chain from `tail`.
  std::uint64_t records = 0;
  /// How many of them had their checksum verified, and failed; `bad_offset` is the newest that failed.
  std::uint64_t checked = 0;
  std::uint64_t bad_checksums = 0;
  std::uint64_t bad_offset = 0;
  /// The oldest record is one of those: older records may be hidden in its payload.
  bool first_is_bad = false;
  /// Whole records known to lie behind `tail`: at least so many are lost by a cut.
  std::uint64_t dropped_records = 0;
  /// With `refuse`: where in the file the damage is, or begins. 0: that is not known.
  std::uint64_t fault_offset = 0;
  /// One sentence, empty if all is well.
  std::string reason;
  /// What it cost: bytes read and checksummed by searches, and steps of their walks.
  std::uint64_t search_bytes = 0;
  std::uint64_t search_steps = 0;

  [[nodiscard]] std::uint64_t cut_bytes() const noexcept { return size - tail; }
};

/// Finds the tail and gives the records of its chain to the visitor, newest first; after `refuse` the visitor has
/// nothing (`walk` reads the chain of `tail` all the same). Time is linear in the file, memory bounded, whatever the
/// bytes are. Fails only if the source or the visitor does, or progress cancels.
[[nodiscard]] Result<Plan> recover(ByteSource& source, const std::optional<SyncMark>& mark, RecordVisitor& visitor,
                                   const RecoverOptions& options = {});

}  // namespace simdrive::store
