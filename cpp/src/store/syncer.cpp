#include "store/syncer.hpp"

#include <array>
#include <new>
#include <system_error>
#include <utility>

namespace simdrive::store {

namespace {

Result<void> check_mark(File& file) {
  std::array<std::uint8_t, kMarkBytes + 1> bytes;
  const Result<std::size_t> got = file.read_at(0, bytes);
  if (!got) return got.error();
  if (may_be_mark({bytes.data(), *got})) return {};
  return Error{.code = Errc::configuration,
               .detail = "write the mark of a store: " + quoted_path(file.path()) +
                         " is no mark, but another file; move it away, or give the store another name"};
}

}  // namespace

std::string mark_path_of(const std::string& store_path) { return store_path + kMarkSuffix; }

Result<void> check_mark(FileSystem& files, const std::string& store_path) {
  const Result<std::unique_ptr<File>> file = files.open(mark_path_of(store_path), {.follow_links = false});
  if (file) return check_mark(**file);
  return fault_of(file.error()) == FileFault::not_found ? Result<void>() : file.error();
}

std::optional<SyncMark> read_mark(FileSystem& files, const std::string& store_path) {
  const Result<std::unique_ptr<File>> file = files.open(mark_path_of(store_path), {.follow_links = false});
  if (!file) return std::nullopt;
  std::array<std::uint8_t, kMarkBytes> bytes;
  const Result<std::size_t> got = (*file)->read_at(0, bytes);
  SyncMark mark;
  if (!got || !decode_mark({bytes.data(), *got}, mark)) return std::nullopt;
  return mark;
}

Result<void> MarkFile::write(File& file, std::uint64_t tail) {
  SyncMark mark{.tail = tail, .trailer = {}};
  if (tail != 0) {
    TrailerBytes trailer;
    if (Result<void> read = read_exactly(file, tail - kTrailerBytes, trailer); !read) return read;
    mark.trailer = read_trailer(trailer.data());
  }
  return put(file, mark);
}

Result<void> MarkFile::write_unknown(File& file) { return put(file, kUnknownMark); }

Result<void> MarkFile::put(File& file, const SyncMark& mark) {
  if (file_ == nullptr) {
    Result<std::unique_ptr<File>> opened =
        files_.open(path_, {.write = true, .create = Create::if_missing, .follow_links = false});
    if (!opened) return std::move(opened).error();
    if (!(*opened)->created()) {
      if (Result<void> good = check_mark(**opened); !good) return good;
    }
    file_ = std::move(opened).value();
    if (file_->created()) file_->set_access(file.access());
  }
  const std::array<std::uint8_t, kMarkBytes> bytes = encode_mark(mark);
  const BytesView piece = bytes;
  return file_->write_at(0, {&piece, 1}).status;
}

Syncer::Syncer(const StoreOptions& options, FileSystem& files, const std::string& store_path)
    : in_background_(options.sync == StoreSync::batch), interval_(options.sync_interval), mark_(files, store_path) {}

Syncer::~Syncer() { stop(); }

void Syncer::attach(std::shared_ptr<File> file, std::uint64_t tail, bool unmarked) {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return !running_; });
  file_ = std::move(file);
  tail_ = tail;
  if (unmarked) ++appended_;
}

Result<void> Syncer::Replacement::begin(Old old) {
  std::shared_ptr<File> file;
  {
    std::unique_lock lock(syncer_.mutex_);
    syncer_.done_.wait(lock, [this] { return !syncer_.running_; });
    syncer_.running_ = begun_ = true;
    file = syncer_.file_;
  }
  mark_is_gone_ = old == Old::whole;
  Result<void> written = old == Old::damaged ? syncer_.mark_.write_unknown(*file) : syncer_.mark_.write(*file, 0);
  if (!written) return written;
  return syncer_.mark_.sync();
}

void Syncer::Replacement::end(std::shared_ptr<File> file, std::uint64_t tail, bool lasting) {
  if (lasting) (void)syncer_.mark_.write(*file, tail);  // without it, opening checks the whole file
  {
    const std::lock_guard lock(syncer_.mutex_);
    syncer_.file_ = std::move(file);
    syncer_.tail_ = tail;
    if (lasting) {
      syncer_.synced_ = syncer_.appended_;
    } else {  // whoever asks is to be told of the failure
      ++syncer_.appended_;
    }
  }
  mark_is_gone_ = false;
  release();
}

void Syncer::Replacement::release() noexcept {
  if (!begun_) return;
  begun_ = false;
  const std::lock_guard lock(syncer_.mutex_);
  syncer_.running_ = false;
  if (mark_is_gone_) {  // the next sync brings it back
    ++syncer_.appended_;
    syncer_.dirty_.notify_one();
  }
  syncer_.done_.notify_all();
}

std::uint64_t Syncer::appended(std::uint64_t tail) {
  const std::lock_guard lock(mutex_);
  tail_ = tail;
  const bool was_clean = appended_ == synced_;
  ++appended_;
  if (in_background_ && !stopping_) {
    if (thread_ == nullptr) {
      try {
        thread_ = std::make_unique<std::thread>([this] { loop(); });
      } catch (const std::system_error&) {
        thread_.reset();  // none to be had now: the next append tries again, and close() syncs in any case
      }
    } else if (was_clean) {
      dirty_.notify_one();
    }
  }
  return appended_;
}

Result<void> Syncer::wait_for(std::uint64_t number) {
  std::unique_lock lock(mutex_);
  return run(lock, number);
}

Result<void> Syncer::drain(std::uint64_t tail) {
  std::unique_lock lock(mutex_);
  if (tail != tail_) {
    tail_ = tail;
    ++appended_;
  }
  return run(lock, appended_);
}

Result<void> Syncer::run(std::unique_lock<std::mutex>& lock, std::uint64_t number) {
  while (synced_ < number) {
    if (failed()) return error_;
    if (running_) {  // what that sync does not cover, the next one does, for all that wait by then
      done_.wait(lock);
      continue;
    }
    running_ = true;
    const std::shared_ptr<File> file = file_;
    const std::uint64_t tail = tail_;
    const std::uint64_t covered = appended_;
    lock.unlock();
    Result<void> result = file->sync_data();
    // Without a new mark the old one is still true, and opening checks more of the file.
    if (result) (void)mark_.write(*file, tail);
    lock.lock();
    running_ = false;
    if (result) {
      synced_ = covered;
    } else {
      error_ = std::move(result).error();
      error_.outcome = Outcome::unknown;
      failed_.store(true, std::memory_order_release);
    }
    done_.notify_all();
  }
  return {};
}

void Syncer::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    dirty_.wait(lock, [this] { return stopping_ || (appended_ != synced_ && !failed()); });
    if (stopping_) return;
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(interval_);
    if (dirty_.wait_until(lock, until, [this] { return stopping_; })) return;
    (void)run(lock, appended_);  // a failure stays, and every later write tells of it
  }
}

void Syncer::stop() noexcept {
  std::unique_ptr<std::thread> thread;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    thread = std::move(thread_);
    dirty_.notify_all();
  }
  if (thread != nullptr) thread->join();
}

Error Syncer::failure() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

void Syncer::fail(const Error& error) noexcept {
  const std::lock_guard lock(mutex_);
  if (failed()) return;
  error_ = Error{.code = error.code, .detail = {}, .outcome = Outcome::unknown, .system_code = error.system_code};
  failed_.store(true, std::memory_order_release);
  done_.notify_all();
  try {
    error_.detail = error.detail.empty() ? "no memory" : error.detail;
  } catch (const std::bad_alloc&) {
    return;  // the code says enough
  }
}

}  // namespace simdrive::store
