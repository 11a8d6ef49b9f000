#include "store/engine.hpp"

#include <chrono>
#include <cmath>
#include <thread>
#include <utility>

#include "store/file_memory.hpp"
#include "store/fork.hpp"

namespace simdrive::store {

namespace {

constexpr double kIntervalMax = 3600;
constexpr std::chrono::milliseconds kForkedWait{100};

Result<void> check_options(const std::string& path, const StoreOptions& options) {
  std::string fault;
  if (options.mode != StoreMode::read && options.mode != StoreMode::append) fault = "mode is none of read and append";
  if (options.sync > StoreSync::always) fault = "sync is none of none, batch and always";
  if (!(options.sync_interval > 0 && options.sync_interval <= kIntervalMax)) {
    fault = "sync_interval must be above 0 and at most 3600 seconds";
  }
  if (path.empty()) fault = "the path is empty";
  if (fault.empty()) return {};
  return Error{.code = Errc::configuration, .detail = "open " + quoted_path(path) + ": " + fault};
}

}  // namespace

Engine::Engine(std::string path, const StoreOptions& options, std::unique_ptr<FileSystem> owned)
    : path_(std::move(path)),
      name_(quoted_path(path_)),
      options_(options),
      owned_files_(std::move(owned)),
      files_(owned_files_ != nullptr    ? *owned_files_
             : options.files != nullptr ? *options.files
                                        : system_files()),
      forks_(fork_count()),
      state_forks_(forks_),
      syncer_(std::make_unique<Syncer>(options, files_, path_)) {}

Result<std::shared_ptr<Engine>> Engine::open(std::string path, const StoreOptions& options,
                                             std::unique_ptr<FileSystem> owned) {
  if (Result<void> good = check_options(path, options); !good) return std::move(good).error();
  const std::shared_ptr<Engine> engine(new Engine(std::move(path), options, std::move(owned)));
  Result<Opened> opened = open_store(engine->files_, engine->path_, options, engine->epoch_);
  if (!opened) return std::move(opened).error();
  engine->report_ = std::move(opened->report);
  Generation& generation = *opened->generation;
  if (options.mode == StoreMode::read) note_last(generation);
  const Lock lock(engine->append_mutex_);
  engine->syncer_->attach(generation.file, generation.tail, opened->unmarked);
  engine->install(std::make_unique<View>(std::move(opened->generation)));
  return engine;
}

Engine::~Engine() {
  (void)close();
  // What other threads held when the process was copied is held for ever here.
  if (forked()) [[maybe_unused]]
    const Syncer* const left = syncer_.release();
}

bool Engine::forked() const noexcept { return fork_count() != forks_; }

// In a child of fork() the lock may be that of a thread that does not exist here, and would never come free. Threads
// that do exist hold it for less than this waits; once one of them has had it, it is as good as in the parent.
Engine::Lock Engine::lock_state() const {
  const std::uint64_t forks = fork_count();
  Lock lock(state_mutex_, std::defer_lock);
  const auto until = std::chrono::steady_clock::now() + kForkedWait;
  while (state_forks_.load(std::memory_order_relaxed) != forks) {
    if (lock.try_lock()) {
      state_forks_.store(forks, std::memory_order_relaxed);
      return lock;
    }
    if (std::chrono::steady_clock::now() > until) return lock;
    std::this_thread::yield();
  }
  lock.lock();
  return lock;
}

void Engine::publish(View* fresh) const {
  View* const old = current_.exchange(fresh, std::memory_order_acq_rel);
  if (old != nullptr) epoch_.retire(*old);
}

void Engine::install(std::unique_ptr<View> fresh) noexcept {
  generation_ = fresh->generation;
  if (options_.mode == StoreMode::append) appender_.emplace(generation_->file, generation_->tail);
  const Lock state(state_mutex_);
  publish(fresh.release());
}

Result<void> Engine::flush() {
  if (options_.mode == StoreMode::read) return closed() ? Result<void>(closed_error()) : Result<void>();
  Result<Lock> lock = lock_for_writing();
  if (!lock) return std::move(lock).error();
  const std::uint64_t number = syncer_->appended(appender_->tail());
  lock->unlock();
  return syncer_->wait_for(number);
}

Result<void> Engine::close() {
  if (forked()) {                     // the lock on the file is the parent's, too: closing it leaves it to the parent
    const Lock state = lock_state();  // where it never comes free nobody else publishes anything
    publish(nullptr);
    return {};
  }
  const Lock lock(append_mutex_);
  if (closed()) return {};
  Result<void> result;
  if (options_.mode == StoreMode::append) {
    syncer_->stop();
    result = syncer_->drain(appender_->tail());
    syncer_->attach(nullptr, 0);
    if (options_.lock) generation_->file->unlock();  // a reader at work may keep the file open a little longer
    appender_.reset();
  }
  generation_.reset();
  const Lock state(state_mutex_);
  publish(nullptr);
  return result;
}

Error Engine::closed_error() const {
  return Error{.code = Errc::closed, .detail = "the store " + name_ + " is closed"};
}

Error Engine::fault_error(std::string_view operation, const Generation& generation) const {
  return Error{.code = Errc::store_corrupt,
               .detail = std::string(operation) + " " + name_ + ": " + generation.fault +
                         "; it is left as it is: recover() keeps what is intact",
               .offset = generation.fault_offset};
}

std::uint64_t Engine::tail() const noexcept {
  const Epoch::Guard guard = epoch_.enter();
  const View* const view = current_.load(std::memory_order_acquire);
  return view == nullptr ? 0 : view->generation->tail.load(std::memory_order_acquire);
}

std::uint64_t Engine::generation() const noexcept {
  const Epoch::Guard guard = epoch_.enter();
  const View* const view = current_.load(std::memory_order_acquire);
  return view == nullptr ? 0 : view->generation->number;
}

bool Engine::read_only() const {
  return options_.mode == StoreMode::read || forked() || broken_.load(std::memory_order_relaxed) || syncer_->failed();
}

bool Engine::same_file(const Engine& other) const {
  if (this == &other) return true;
  if (owned_files_ != nullptr || other.owned_files_ != nullptr || &files_ != &other.files_) return false;
  if (path_ == other.path_) return true;
  const Result<FileStat> mine = files_.stat(path_);
  const Result<FileStat> others = files_.stat(other.path_);
  return mine && others && mine->identity == others->identity;
}

Result<std::uint64_t> Engine::file_size() const {
  if (closed()) return closed_error();
  const Result<FileStat> found = files_.stat(path_);
  if (!found) return found.error();
  return found->size;
}

}  // namespace simdrive::store
