// A file system whose n-th call fails (reliability test T2). Threads as file.hpp says.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "store/file.hpp"

namespace simdrive::testing_store {

enum class Call : std::uint8_t {
  open,
  read,
  write,
  reserve,  ///< fails with ENOSPC, or not at all
  size,
  truncate,
  sync,
  lock,
  map,
  stat,
  rename,
  remove,
  sync_directory,
};

[[nodiscard]] std::string_view to_string(Call call) noexcept;

/// A set of kinds of calls.
class CallSet {
 public:
  constexpr CallSet() = default;  // none
  constexpr CallSet(std::initializer_list<Call> calls) {
    for (const Call call : calls) bits_ |= 1U << static_cast<unsigned>(call);
  }
  [[nodiscard]] constexpr bool has(Call call) const { return (bits_ >> static_cast<unsigned>(call) & 1) != 0; }
  [[nodiscard]] static constexpr CallSet all() {
    CallSet set;
    set.bits_ = ~0U;
    return set;
  }

 private:
  unsigned bits_ = 0;
};

enum class FaultKind : std::uint8_t {
  /// Nothing is done; the call fails with EIO.
  io_error,
  /// Nothing is done; writes, creations and truncations fail with ENOSPC, other calls with EIO.
  no_space,
  /// Half of a write is done, then ENOSPC. Reads give half of what is there, as if the file ended. Others as io_error.
  short_transfer,
  /// Syncs, truncations, renames and removals are done and fail all the same with EIO, as on a network. Writes are done
  /// but for their last byte. Others as io_error.
  done_and_failed,
};

inline constexpr FaultKind kFaultKinds[] = {FaultKind::io_error, FaultKind::no_space, FaultKind::short_transfer,
                                            FaultKind::done_and_failed};

[[nodiscard]] std::string_view to_string(FaultKind kind) noexcept;

class FailingFiles final : public store::FileSystem {
 public:
  static constexpr std::uint64_t kUntilHealed = std::numeric_limits<std::uint64_t>::max();

  /// `under` outlives this and its files. Only calls of `counted` are counted, and can fail.
  explicit FailingFiles(store::FileSystem& under, CallSet counted = CallSet::all())
      : under_(under), counted_(counted) {}

  /// From now on the calls n, n+1, ... n+count-1 fail, counted from 0 and from now; then it has healed.
  void fail(std::uint64_t n, FaultKind kind, std::uint64_t count = 1);
  void heal() { fail(0, FaultKind::io_error, 0); }
  /// Called before each counted call, with its number since the last fail() or heal(). Not to call into this object.
  void watch(std::function<void(std::uint64_t n, Call call, const std::string& path)> watcher);

  /// Calls since the last fail() or heal(), or since the start.
  [[nodiscard]] std::uint64_t calls() const;
  /// What failed since then, as "write 'PATH'".
  [[nodiscard]] std::vector<std::string> failed() const;

  [[nodiscard]] Result<std::unique_ptr<store::File>> open(const std::string& path,
                                                          const store::OpenOptions& options) override;
  [[nodiscard]] Result<store::FileStat> stat(const std::string& path) override;
  [[nodiscard]] Result<void> rename_over(const std::string& from, const std::string& to) override;
  [[nodiscard]] Result<void> rename_new(const std::string& from, const std::string& to) override;
  [[nodiscard]] Result<void> remove(const std::string& path) override;
  [[nodiscard]] Result<void> sync_directory(const std::string& path) override;

 private:
  class OpenFile;
  struct Verdict {
    bool fails = false;
    FaultKind kind = FaultKind::io_error;
  };

  /// Counts a call and says whether it fails.
  Verdict judge(Call call, const std::string& path);
  /// The error of a call that fails, once what its kind of fault does all the same is done.
  static Error error_for(Call call, const std::string& path, FaultKind kind);
  template <class Do>
  Result<void> maybe(Call call, const std::string& path, Do action);

  store::FileSystem& under_;
  const CallSet counted_;
  mutable std::mutex mutex_;
  std::uint64_t calls_ = 0;
  std::uint64_t first_ = 0;
  std::uint64_t count_ = 0;
  FaultKind kind_ = FaultKind::io_error;
  std::vector<std::string> failed_;
  std::function<void(std::uint64_t, Call, const std::string&)> watcher_;
};

}  // namespace simdrive::testing_store
