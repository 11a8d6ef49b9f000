#include "store/recovery.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "store/chain.hpp"
#include "store/chain_check.hpp"
#include "store/tail_search.hpp"

namespace simdrive::store {
namespace {

// With Check::newest: enough to tell the layouts apart, if any of their records begins at an odd place.
constexpr std::uint64_t kNewestRecords = 16;

struct ChainRun {
  bool complete = false;
  bool met_base = false;
  bool newest_is_good = false;
  std::uint64_t records = 0;
  Record oldest;
  ChainCheck check;
  // The oldest bad record behind the base.
  bool bad_behind = false;
  std::uint64_t bad_prev = 0;
  std::uint64_t records_behind_bad = 0;
};

struct RunOptions {
  Layout layout = Layout::aligned64;
  bool visit = true;
  bool need_newest = false;   // stop at once if the newest record is not good
  bool stop_at_base = false;  // the rest of the chain does not matter
};

class Recovery {
 public:
  Recovery(ByteSource& source, const std::optional<SyncMark>& mark, RecordVisitor& visitor,
           const RecoverOptions& options)
      : source_(source), mark_(mark), visitor_(visitor), options_(options), search_(source, options.progress) {
    plan_.size = source.size();
  }

  Result<Plan> run() {
    VisitorBatch(visitor_).restart();
    auto done = options_.rule == Rule::original ? run_original() : run_safe();
    if (!done.ok()) return std::move(done.error());
    plan_.search_bytes = search_.bytes();
    plan_.search_steps = search_.steps();
    return std::move(plan_);
  }

 private:
  [[nodiscard]] Result<void> run_original();
  [[nodiscard]] Result<void> run_safe();
  [[nodiscard]] Result<void> look_at_mark();
  [[nodiscard]] Result<void> behind_mark();
  [[nodiscard]] Result<void> without_mark();
  [[nodiscard]] Result<void> take_best_tail();
  [[nodiscard]] Result<void> cut_behind_mark(std::uint64_t tail, std::string reason);
  [[nodiscard]] Result<void> look_behind_first(const ChainRun& run);
  [[nodiscard]] Result<void> refuse(Refusal refusal, std::uint64_t offset, std::string reason);
  /// Refuses a file whose records end before what the mark says was synced.
  [[nodiscard]] Result<void> refuse_end();
  [[nodiscard]] Result<ChainRun> follow_chain(std::uint64_t tail, const RunOptions& how);
  void note(const ChainRun& run, std::uint64_t tail, Layout layout);

  [[nodiscard]] bool matched() const noexcept { return plan_.mark == MarkState::matched; }

  ByteSource& source_;
  const std::optional<SyncMark>& mark_;
  RecordVisitor& visitor_;
  const RecoverOptions& options_;
  TailSearch search_;
  Plan plan_;
  std::uint64_t base_ = 0;    // the tail of a mark that matches
  std::uint64_t oldest_ = 0;  // where the metadata of the oldest record of the plan's chain is
};

std::string at(std::uint64_t offset) { return std::to_string(offset); }

Result<ChainRun> Recovery::follow_chain(std::uint64_t tail, const RunOptions& how) {
  ChainRun run;
  run.met_base = tail == base_ || base_ == 0;
  if (tail == 0) {
    run.complete = run.newest_is_good = true;
    if (how.visit) VisitorBatch(visitor_).restart();
    return run;
  }
  const std::uint64_t floor = options_.check == Check::behind_mark ? base_ : 0;
  const bool whole = options_.check != Check::newest;
  const bool original = options_.rule == Rule::original;
  bool checked = false;
  Reader reader(source_);
  VisitorBatch batch(visitor_);
  if (how.visit) batch.restart();
  Pace pace(options_.progress, plan_.size);
  Result<void> failed;
  auto end =
      follow(reader, tail, {alignment_of(how.layout), whole && floor < tail, original}, [&](const Record& record) {
        const bool newest = run.records++ == 0;
        if (record.trailer.prev == 0) run.oldest = record;  // only asked for when the chain is complete
        checked = newest || (whole ? record.offset >= floor : run.records <= kNewestRecords);
        if (checked) {
          auto good = run.check.add(reader, record, how.layout);
          if (!good.ok()) {
            failed = std::move(good.error());
            return false;
          }
          const bool bad = !*good;
          if (newest) run.newest_is_good = !bad;
          if (newest && bad && how.need_newest) return false;
          if (bad && record.offset >= base_) {
            run.bad_behind = true;
            run.bad_prev = record.trailer.prev;
            run.records_behind_bad = run.records;
          }
        }
        if (record.trailer.prev == base_) {
          run.met_base = true;
          if (how.stop_at_base) return false;
        }
        return (!how.visit || batch.add(record)) && pace.at(plan_.size - record.offset);
      });
  if (!failed.ok()) return std::move(failed.error());
  if (!end.ok()) return std::move(end.error());
  if (pace.cancelled()) return Pace::error();
  if (how.visit) {
    if (auto given = batch.finish(); !given.ok()) return std::move(given.error());
  }
  run.complete = end->complete();
  if (how.visit && !run.complete) batch.restart();
  // The oldest one says whether a damaged link made the chain end too early.
  if (run.complete && !checked && whole) {
    if (auto good = run.check.add(reader, run.oldest, how.layout); !good.ok()) return std::move(good.error());
  }
  return run;
}

void Recovery::note(const ChainRun& run, std::uint64_t tail, Layout layout) {
  const ChainCheck::Count& count = run.check.count(layout);
  plan_.tail = tail;
  plan_.layout = layout;
  plan_.records = run.records;
  oldest_ = run.oldest.offset;
  plan_.checked = run.check.checked();
  plan_.bad_checksums = count.bad;
  plan_.bad_offset = count.newest_bad;
  plan_.first_is_bad = run.complete && options_.check != Check::newest && count.oldest_is_bad;
  plan_.action = layout != Layout::aligned64 ? Action::read_only : tail == plan_.size ? Action::open : Action::cut;
}

Result<void> Recovery::refuse(Refusal refusal, std::uint64_t offset, std::string reason) {
  plan_.reason = std::move(reason);
  plan_.fault_offset = offset;
  if (options_.permit_loss && refusal == Refusal::corrupt) return {};
  plan_.action = Action::refuse;
  plan_.refusal = refusal;
  VisitorBatch(visitor_).restart();
  return {};
}

Result<void> Recovery::refuse_end() {
  return refuse(Refusal::corrupt, plan_.tail,
                "records up to offset " + at(mark_->tail) + " were synced, and end at " + at(plan_.tail));
}

// A first record whose checksum is wrong is damaged, or not the first: a damaged link may end the chain in the middle
// of the file, and all records before are hidden in that one's payload.
Result<void> Recovery::look_behind_first(const ChainRun& run) {
  if (!plan_.first_is_bad) return {};
  auto intact = search_.has_intact(run.oldest.tail() - 1, alignment_of(plan_.layout));
  if (!intact.ok()) return std::move(intact.error());
  if (!*intact) return {};
  return refuse(
      Refusal::corrupt, run.oldest.offset,
      "the chain of records ends at offset " + at(run.oldest.offset) + ", and there are intact records before");
}

Result<void> Recovery::run_original() {
  auto tail = search_.find_as_original();
  if (!tail.ok()) return std::move(tail.error());
  auto run = follow_chain(*tail, {});
  if (!run.ok()) return std::move(run.error());
  note(*run, *tail, Layout::aligned64);
  return {};
}

Result<void> Recovery::look_at_mark() {
  if (!mark_) return {};
  plan_.mark = MarkState::mismatched;
  if (mark_->tail > plan_.size || *mark_ == kUnknownMark) return {};
  if (mark_->tail != 0) {
    TrailerBytes bytes{};
    if (auto read = source_.read_at(mark_->tail - kTrailerBytes, bytes); !read.ok()) return read;
    if (read_trailer(bytes.data()) != mark_->trailer) return {};
  }
  plan_.mark = MarkState::matched;
  base_ = mark_->tail;
  return {};
}

Result<void> Recovery::run_safe() {
  if (plan_.size > kMaxFileBytes) return refuse(Refusal::format, 0, "the file is larger than a store can be");
  if (auto looked = look_at_mark(); !looked.ok()) return looked;
  if (plan_.size == 0) return {};
  // Mostly the file is whole, and one walk is all.
  auto run = follow_chain(plan_.size, {.need_newest = !(matched() && base_ == plan_.size)});
  if (!run.ok()) return std::move(run.error());
  if (run->complete && run->met_base) {
    if (!matched()) {
      note(*run, plan_.size, run->check.best(Layout::aligned64));
      if (plan_.action == Action::read_only) plan_.reason = "the file has the layout of an older version";
      if (mark_ && mark_->tail > plan_.tail && plan_.action == Action::open) return refuse_end();
      return look_behind_first(*run);
    }
    if (!run->bad_behind) {
      note(*run, plan_.size, Layout::aligned64);
      return look_behind_first(*run);
    }
    plan_.dropped_records = run->records_behind_bad;
    return cut_behind_mark(run->bad_prev, "a record that was not synced did not reach the disk");
  }
  VisitorBatch(visitor_).restart();
  return matched() ? behind_mark() : without_mark();
}

Result<void> Recovery::cut_behind_mark(std::uint64_t tail, std::string reason) {
  auto run = follow_chain(tail, {});
  if (!run.ok()) return std::move(run.error());
  note(*run, tail, Layout::aligned64);
  plan_.reason = std::move(reason);
  return look_behind_first(*run);
}

// What the mark covers is on the disk: the tail is there or behind it, and everything behind it may be cut.
Result<void> Recovery::behind_mark() {
  auto found = search_.find(base_);
  if (!found.ok()) return std::move(found.error());
  std::uint64_t tail = std::max(*found, base_);
  if (tail > base_) {
    auto behind = follow_chain(tail, {.visit = false, .stop_at_base = true});
    if (!behind.ok()) return std::move(behind.error());
    if (behind->bad_behind) {
      tail = behind->bad_prev;
      plan_.dropped_records = behind->records_behind_bad;
    }
  }
  auto run = follow_chain(tail, {});
  if (!run.ok()) return std::move(run.error());
  if (run->complete) {
    note(*run, tail, Layout::aligned64);
    plan_.reason = "the file ends in bytes that are no complete record";
    return look_behind_first(*run);
  }
  const std::uint64_t base = std::exchange(base_, 0);
  if (auto taken = take_best_tail(); !taken.ok()) return taken;
  return refuse(Refusal::corrupt, plan_.tail,
                "the chain of records breaks before offset " + at(base) + ", which was synced");
}

// The highest tail in any layout, without regard to a mark. Before anything is cut, the older layouts are tried.
Result<void> Recovery::take_best_tail() {
  auto found = search_.find_in_all();
  if (!found.ok()) return std::move(found.error());
  std::uint64_t tail = found->aligned64;
  Layout layout = Layout::aligned64;
  for (const auto& [each, end] :
       {std::pair(Layout::aligned16, found->aligned16), std::pair(Layout::unaligned, found->unaligned)}) {
    if (end <= tail) continue;
    // A damaged link can make a chain that holds only where starts are not rounded up. The checksums tell.
    auto chain = follow_chain(end, {.layout = each, .visit = false});
    if (!chain.ok()) return std::move(chain.error());
    const Layout best = chain->check.best(Layout::aligned64);
    if (best == Layout::aligned64) continue;
    tail = end;
    layout = best == Layout::mixed ? best : each;
  }
  auto run = follow_chain(tail, {.layout = layout});
  if (!run.ok()) return std::move(run.error());
  if (layout == Layout::aligned64) layout = run->check.best(layout);
  note(*run, tail, layout);
  return {};
}

Result<void> Recovery::without_mark() {
  if (auto taken = take_best_tail(); !taken.ok()) return taken;
  const std::uint64_t tail = plan_.tail;
  if (plan_.action == Action::read_only) {
    plan_.reason = "the file has the layout of an older version";
    if (tail == plan_.size) return {};
    plan_.reason += ", and its end is damaged";
    auto lost = search_.count_behind(tail, alignment_of(plan_.layout));
    if (!lost.ok()) return std::move(lost.error());
    plan_.dropped_records = *lost;
    return {};
  }
  if (tail == 0) {
    // A first record that is intact would have been found.
    auto intact = search_.has_intact(plan_.size, kPayloadAlignment, kMinTail);
    if (!intact.ok()) return std::move(intact.error());
    if (!*intact) return refuse(Refusal::format, 0, "the file has no valid record: it is no store");
    plan_.dropped_records = 1;
    return refuse(Refusal::corrupt, 0, "there are intact records, but the chain to the first one is broken");
  }
  auto behind = search_.count_behind(tail, kPayloadAlignment);
  if (!behind.ok()) return std::move(behind.error());
  plan_.dropped_records = *behind;
  if (mark_ && tail < mark_->tail) return refuse_end();
  if (plan_.first_is_bad) {
    return refuse(Refusal::corrupt, oldest_, "the first record is damaged, and older records may be hidden in it");
  }
  if (*behind > 1)
    return refuse(Refusal::corrupt, tail, "more than one record behind offset " + at(tail) + " would be lost");
  plan_.reason = "the file ends in bytes that are no complete record";
  return {};
}

}  // namespace

Result<Plan> recover(ByteSource& source, const std::optional<SyncMark>& mark, RecordVisitor& visitor,
                     const RecoverOptions& options) {
  return Recovery(source, mark, visitor, options).run();
}

}  // namespace simdrive::store
