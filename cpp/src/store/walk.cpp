#include "store/walk.hpp"

#include <array>

#include "store/chain.hpp"

namespace simdrive::store {

Result<bool> record_at(Reader& reader, std::uint64_t tail, Layout layout, Record& record) {
  if (tail > reader.size()) return false;
  if (layout != Layout::mixed) {
    bool found = false;
    auto end = follow(reader, tail, {.alignment = alignment_of(layout), .zeros = true}, [&](const Record& first) {
      record = first;
      found = true;
      return false;
    });
    if (!end.ok()) return std::move(end.error());
    return found;
  }
  bool any = false;
  for (const Layout each : {Layout::aligned64, Layout::aligned16, Layout::unaligned}) {
    Record candidate;
    auto found = record_at(reader, tail, each, candidate);
    if (!found.ok()) return found;
    if (!*found) continue;
    if (!any) record = candidate;
    any = true;
    auto good = verify_record(reader, candidate);
    if (!good.ok()) return good;
    if (*good) {
      record = candidate;
      return true;
    }
  }
  return any;
}

Result<bool> verify_record(Reader& reader, const Record& record) {
  auto checksum = reader.checksum(record.start, record.offset);
  if (!checksum.ok()) return std::move(checksum.error());
  return *checksum == record.trailer.checksum;
}

Result<WalkResult> walk(ByteSource& source, std::uint64_t tail, Layout layout, RecordVisitor& visitor,
                        const Progress& progress) {
  WalkResult result;
  VisitorBatch batch(visitor);
  batch.restart();
  if (tail == 0) {
    result.complete = true;
    return result;
  }
  Reader reader(source);
  Pace pace(progress, tail);
  auto end = follow(reader, tail, {.alignment = alignment_of(layout)}, [&](const Record& record) {
    ++result.records;
    return batch.add(record) && pace.at(tail - record.offset);
  });
  if (!end.ok()) return std::move(end.error());
  if (pace.cancelled()) return Pace::error();
  if (auto given = batch.finish(); !given.ok()) return std::move(given.error());
  result.complete = end->complete();
  if (!result.complete) {
    result.broken_at = end->at;
    batch.restart();
  }
  return result;
}

Result<VerifyReport> verify(ByteSource& source, std::uint64_t tail, Layout layout, const Progress& progress,
                            std::size_t max_bad) {
  VerifyReport report;
  if (tail == 0) {
    report.complete = true;
    return report;
  }
  Reader reader(source);
  Pace pace(progress, tail);
  Result<void> failed;
  Reader mixed_reader(source);  // record_at moves the window of its reader
  auto end = follow(reader, tail, {.alignment = alignment_of(layout), .every_byte = true}, [&](const Record& found) {
    Record record = found;
    if (layout == Layout::mixed) {
      if (auto again = record_at(mixed_reader, found.tail(), layout, record); !again.ok()) {
        failed = std::move(again.error());
        return false;
      }
    }
    auto good = verify_record(reader, record);
    if (!good.ok()) {
      failed = std::move(good.error());
      return false;
    }
    ++report.records;
    report.tombstones += record.tombstone ? 1 : 0;
    report.payload_bytes += record.offset - record.start;
    report.first_is_bad = !*good;
    if (!*good) {
      ++report.bad_count;
      if (report.bad.size() < max_bad) report.bad.push_back(record.offset);
    }
    return pace.at(tail - record.start);
  });
  if (!failed.ok()) return std::move(failed.error());
  if (!end.ok()) return std::move(end.error());
  if (pace.cancelled()) return Pace::error();
  report.complete = end->complete();
  if (!report.complete) {
    report.broken_at = end->at;
    report.first_is_bad = false;
  }
  return report;
}

}  // namespace simdrive::store
