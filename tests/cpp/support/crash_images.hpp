// Everything that may be on the disk after a crash within a recorded workload (reliability test T1).
//
// When a process dies, what it had handed to the system stays: every image is a prefix of the calls, with the last
// write cut anywhere. When the power fails, each file has the length of some moment since its last sync, and each of
// its pages the content of some such moment, each for itself: later pages may be there without earlier ones, and a page
// that was never written reads as zeros if the length got to the disk first. Each creation, rename and removal since
// the last sync of its folder happened or did not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "support/recording_files.hpp"

namespace simdrive::testing_store {

struct CrashImage {
  FileContents files{};
  /// So many events were complete.
  std::size_t events = 0;
  /// Else the process died, and the images hold all complete events.
  bool power_loss = false;
  /// For messages: after what, and what was lost.
  std::string what{};
};

struct CrashOptions {
  std::uint64_t seed = 1;
  /// What a disk writes in one.
  std::uint64_t page = 4096;
  /// Power losses: images with random versions of length and pages, for each event.
  unsigned random_images = 4;
  /// Power losses: so many pages are lost, and kept, one at a time; and so many earlier moments are gone back to. Those
  /// of more are drawn.
  unsigned pages_max = 8;
  unsigned moments_max = 4;
  /// Cuts of one write at multiples of 512 and 4096 in the file: so many of each at most, drawn if there are more.
  unsigned sector_cuts_max = 16;
  /// Off: process deaths only.
  bool power_loss = true;
  /// Bytes cut off by a truncation may come back when the file grows over their place before it is synced. No file
  /// system in use does that, and no format without sequence numbers could tell.
  bool stale_after_truncate = false;
};

/// Where a write of `bytes` at `event.offset` is cut: 1 byte, one byte short, at and beside the ends of its pieces, in
/// the middle of short ones, within the first 64 bytes (a pad) and the last 20 (a trailer), at sectors and pages. In
/// order, each once.
[[nodiscard]] std::vector<std::size_t> cut_points(const Event& event, const CrashOptions& options);

/// Calls `check` with every image, in an order that only depends on its arguments; none is given twice in a row for the
/// same event and kind of crash. Stops when `check` returns false. The number of images.
std::size_t for_each_crash_image(const Recording& recording, const CrashOptions& options,
                                 const std::function<bool(const CrashImage&)>& check);

/// A file system with just these files.
void load(store::MemoryFiles& files, const FileContents& contents);

}  // namespace simdrive::testing_store
