// What store_bench measures, behind one set of functions. Failures are exceptions: this is a program, not the library.
#pragma once

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "simdrive/store.hpp"

#ifdef HAVE_LMDB
#include <lmdb.h>
#endif

namespace bench {

using View = std::span<const std::uint8_t>;

struct Pair {
  View key;
  View payload;
};

[[noreturn]] inline void fail(const std::string& what) { throw std::runtime_error(what); }

/// Ours, with all defaults: nothing is forced to the disk, as with the others.
class Simdrive {
 public:
  void create(const std::string& path) {
    close();
    std::filesystem::remove(path);
    std::filesystem::remove(path + ".mark");
    open(path);
  }
  void open(const std::string& path) {
    close();
    store_.emplace(need(simdrive::Store::open(path)));
  }
  void close() { store_.reset(); }
  void write(View key, View payload) { need(store_->write(key, payload)); }
  void batch(std::span<const Pair> pairs) {
    items_.clear();
    for (const Pair& pair : pairs) items_.push_back({pair.key, pair.payload});
    need(store_->batch_write(items_));
  }
  void begin_reads() {}
  void end_reads() {}
  /// The first byte of the payload, or -1.
  int read(View key) {
    const auto entry = need(store_->read(key));
    return entry ? entry->data()[0] : -1;
  }
  bool exists(View key) { return need(store_->exists(key)); }
  bool equals(View key, View payload) {
    const auto entry = need(store_->read(key));
    return entry && entry->size() == payload.size() && std::memcmp(entry->data(), payload.data(), payload.size()) == 0;
  }
  std::uint64_t scan(std::uint64_t& sink) {
    auto iterator = need(store_->iterate());
    simdrive::Entry entry;
    std::uint64_t count = 0;
    while (need(iterator.next(entry))) {
      ++count;
      sink += entry.data()[0];
    }
    return count;
  }
  std::uint64_t size() { return need(store_->size()); }
  void compact() { need(store_->compact()); }

 private:
  template <class T>
  static T need(simdrive::Result<T> result) {
    if (!result) fail(std::string(to_string(result.error().code)) + ": " + result.error().detail);
    return std::move(*result);
  }
  std::optional<simdrive::Store> store_;
  std::vector<simdrive::KeyValue> items_;
};

#ifdef HAVE_LMDB
/// LMDB in its fastest mode: nothing is forced to the disk, and it writes through the mapping. A write or a batch is
/// one transaction. A read renews a transaction of its own, which it must in order to see what was written since; with
/// `SharedReads` one transaction serves all reads of a command.
template <bool SharedReads>
class Lmdb {
 public:
  Lmdb() = default;
  Lmdb(const Lmdb&) = delete;
  Lmdb& operator=(const Lmdb&) = delete;
  ~Lmdb() { close(); }

  void create(const std::string& path) {
    close();
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-lock");
    open(path);
  }
  void open(const std::string& path) {
    close();
    path_ = path;
    check(mdb_env_create(&env_));
    check(mdb_env_set_mapsize(env_, kMapBytes));
    check(
        mdb_env_open(env_, path.c_str(), MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_NOTLS, 0600));
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env_, nullptr, 0, &txn));
    check(mdb_dbi_open(txn, nullptr, 0, &table_));
    check(mdb_txn_commit(txn));
    check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reader_));
    mdb_txn_reset(reader_);
  }
  void close() {
    if (reader_ != nullptr) mdb_txn_abort(std::exchange(reader_, nullptr));
    if (env_ != nullptr) mdb_env_close(std::exchange(env_, nullptr));
  }
  void write(View key, View payload) {
    const Pair one{key, payload};
    batch({&one, 1});
  }
  void batch(std::span<const Pair> pairs) {
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env_, nullptr, 0, &txn));
    for (const Pair& pair : pairs) {
      MDB_val key = value(pair.key);
      MDB_val payload = value(pair.payload);
      check(mdb_put(txn, table_, &key, &payload, 0));
    }
    check(mdb_txn_commit(txn));
  }
  void begin_reads() {
    if (SharedReads) check(mdb_txn_renew(reader_));
  }
  void end_reads() {
    if (SharedReads) mdb_txn_reset(reader_);
  }
  int read(View key) {
    if (!SharedReads) check(mdb_txn_renew(reader_));
    MDB_val wanted = value(key);
    MDB_val found;
    const int status = mdb_get(reader_, table_, &wanted, &found);
    const int first = status == MDB_SUCCESS ? *static_cast<const std::uint8_t*>(found.mv_data) : -1;
    if (!SharedReads) mdb_txn_reset(reader_);
    if (status != MDB_NOTFOUND) check(status);
    return first;
  }
  bool exists(View key) { return read(key) >= 0; }
  bool equals(View key, View payload) {
    check(mdb_txn_renew(reader_));
    MDB_val wanted = value(key);
    MDB_val found;
    const bool same = mdb_get(reader_, table_, &wanted, &found) == MDB_SUCCESS && found.mv_size == payload.size() &&
                      std::memcmp(found.mv_data, payload.data(), payload.size()) == 0;
    mdb_txn_reset(reader_);
    return same;
  }
  std::uint64_t scan(std::uint64_t& sink) {
    check(mdb_txn_renew(reader_));
    MDB_cursor* cursor = nullptr;
    check(mdb_cursor_open(reader_, table_, &cursor));
    MDB_val key;
    MDB_val found;
    std::uint64_t count = 0;
    int status = 0;
    while ((status = mdb_cursor_get(cursor, &key, &found, MDB_NEXT)) == MDB_SUCCESS) {
      ++count;
      sink += *static_cast<const std::uint8_t*>(found.mv_data);
    }
    mdb_cursor_close(cursor);
    mdb_txn_reset(reader_);
    if (status != MDB_NOTFOUND) check(status);
    return count;
  }
  std::uint64_t size() {
    MDB_stat stat;
    check(mdb_env_stat(env_, &stat));
    return stat.ms_entries;
  }
  void compact() {
    const std::string fresh = path_ + ".compact";
    std::filesystem::remove(fresh);
    check(mdb_env_copy2(env_, fresh.c_str(), MDB_CP_COMPACT));
    close();
    std::filesystem::rename(fresh, path_);
    open(path_);
  }

 private:
  static constexpr std::size_t kMapBytes = std::size_t{8} << 30;
  static void check(int status) {
    if (status != MDB_SUCCESS) fail(std::string("lmdb: ") + mdb_strerror(status));
  }
  static MDB_val value(View bytes) { return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())}; }

  std::string path_;
  MDB_env* env_ = nullptr;
  MDB_dbi table_ = 0;
  MDB_txn* reader_ = nullptr;
};
#endif

/// The floor of writing: the same bytes at the same places by one system call, without hashes, checksums and index.
class Append {
 public:
  Append() = default;
  Append(const Append&) = delete;
  Append& operator=(const Append&) = delete;
  ~Append() { close(); }

  void create(const std::string& path) {
    close();
    fd_ = ::open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    if (fd_ < 0) fail("open " + path + ": " + std::strerror(errno));
    tail_ = 0;
    count_ = 0;
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void write(View key, View payload) {
    const Pair one{key, payload};
    batch({&one, 1});
  }
  void batch(std::span<const Pair> pairs) {
    for (std::size_t i = 0; i < pairs.size(); i += kPairsPerCall) {
      put(pairs.subspan(i, std::min(kPairsPerCall, pairs.size() - i)));
    }
  }
  bool equals(View, View payload) {
    last_.resize(payload.size());
    const auto at = static_cast<off_t>(tail_ - kTrailer - payload.size());
    return ::pread(fd_, last_.data(), last_.size(), at) == static_cast<ssize_t>(last_.size()) &&
           std::memcmp(last_.data(), payload.data(), payload.size()) == 0;
  }
  std::uint64_t size() { return count_; }
  void open(const std::string&) { unsupported(); }
  void begin_reads() { unsupported(); }
  void end_reads() {}
  int read(View) { unsupported(); }
  bool exists(View) { unsupported(); }
  std::uint64_t scan(std::uint64_t&) { unsupported(); }
  void compact() { unsupported(); }

 private:
  static constexpr std::size_t kTrailer = 20;
  static constexpr std::size_t kPairsPerCall = 256;

  [[noreturn]] static void unsupported() { fail("the floor only writes"); }
  void put(std::span<const Pair> pairs) {
    static const std::array<std::uint8_t, 64> zeros{};
    parts_.clear();
    std::size_t total = 0;
    for (const Pair& pair : pairs) {
      const std::size_t pad = (64 - (tail_ + total) % 64) % 64;
      parts_.push_back({const_cast<std::uint8_t*>(zeros.data()), pad});
      parts_.push_back({const_cast<std::uint8_t*>(pair.payload.data()), pair.payload.size()});
      parts_.push_back({const_cast<std::uint8_t*>(zeros.data()), kTrailer});
      total += pad + pair.payload.size() + kTrailer;
    }
    if (::writev(fd_, parts_.data(), static_cast<int>(parts_.size())) != static_cast<ssize_t>(total)) {
      fail(std::string("write: ") + std::strerror(errno));
    }
    tail_ += total;
    count_ += pairs.size();
  }

  int fd_ = -1;
  std::uint64_t tail_ = 0;
  std::uint64_t count_ = 0;
  std::vector<iovec> parts_;
  std::vector<std::uint8_t> last_;
};

}  // namespace bench
