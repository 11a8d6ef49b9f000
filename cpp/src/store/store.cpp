#include "simdrive/store.hpp"

#include <utility>

#include "simdrive/hash.hpp"
#include "store/checked.hpp"
#include "store/compactor.hpp"
#include "store/engine.hpp"
#include "store/file_memory.hpp"
#include "store/syncer.hpp"

namespace simdrive {

namespace {

using store::checked;

std::vector<std::uint64_t> hashes_of(std::span<const BytesView> keys) {
  std::vector<std::uint64_t> hashes(keys.size());
  xxh3_64_many(keys, hashes);
  return hashes;
}

Result<std::optional<Entry>> optional_of(Result<bool> found, Entry&& entry) {
  if (!found) return std::move(found).error();
  std::optional<Entry> result;
  if (*found) result = std::move(entry);
  return result;
}

void read_slowly(const store::Engine& engine, std::uint64_t key_hash, Result<std::optional<Entry>>& result) noexcept {
  result = checked([&] { return engine.read(key_hash); });
}

inline Result<std::optional<Entry>> read_one(const store::Engine& engine, std::uint64_t key_hash) noexcept {
  using Quick = store::Engine::Quick;
  Result<std::optional<Entry>> result(std::optional<Entry>{});
  const Quick quick = engine.read_quickly(key_hash, result->emplace());  // where it is to be: nothing is moved
  if (quick == Quick::absent) result->reset();
  if (quick == Quick::unusual) read_slowly(engine, key_hash, result);
  return result;
}

Error key_error(Errc code, std::string detail) { return Error{.code = code, .detail = std::move(detail)}; }

// So often does transfer() copy an entry that others replace meanwhile, before they have to wait for it.
constexpr int kFreeTries = 3;

}  // namespace

struct Store::Impl {
  std::shared_ptr<store::Engine> engine;
  std::string path;  // as the caller knows it

  /// Puts the entry that is copied into `entry`.
  Result<std::uint64_t> copy(BytesView key, store::Engine& target, std::optional<Entry>& entry,
                             store::Engine::Turn turn = {}, bool flush = false) const;
};

struct EntryIterator::Impl {
  store::LiveWalk walk;
  std::string path;
  bool verify;
};

EntryIterator::EntryIterator(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
EntryIterator::EntryIterator(EntryIterator&&) noexcept = default;
EntryIterator& EntryIterator::operator=(EntryIterator&&) noexcept = default;
EntryIterator::~EntryIterator() = default;

Result<bool> EntryIterator::next(Entry& entry) {
  return checked([&]() -> Result<bool> {
    Result<bool> found = impl_->walk.next(entry);
    if (found && *found && impl_->verify) {
      if (Result<void> good = store::check_entry(entry, impl_->path); !good) return std::move(good).error();
    }
    return found;
  });
}

Store::Store(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(std::string path, const StoreOptions& options) {
  return checked([&]() -> Result<Store> {
    if (Result<void> good = check_hash_backend(); !good) return std::move(good).error();
    auto impl = std::make_shared<Impl>();
    impl->path = path;
    if (options.files == nullptr) path = store::behind_links(path);
    Result<std::shared_ptr<store::Engine>> engine = store::Engine::open(std::move(path), options);
    if (!engine) return std::move(engine).error();
    impl->engine = std::move(engine).value();
    return Store(std::move(impl));
  });
}

Result<Store> Store::memory(const StoreOptions& options) {
  return checked([&]() -> Result<Store> {
    if (Result<void> good = check_hash_backend(); !good) return std::move(good).error();
    StoreOptions used = options;
    used.mode = StoreMode::append;
    used.create = true;
    used.sync = StoreSync::none;
    Result<std::shared_ptr<store::Engine>> engine =
        store::Engine::open("memory", used, std::make_unique<store::MemoryFiles>());
    if (!engine) return std::move(engine).error();
    auto impl = std::make_shared<Impl>();
    impl->engine = std::move(engine).value();
    return Store(std::move(impl));
  });
}

// ---- Writing ----

Result<std::uint64_t> Store::write(BytesView key, BytesView payload) {
  return write_with_key_hash(xxh3_64(key), payload);
}

Result<std::uint64_t> Store::write_with_key_hash(std::uint64_t key_hash, BytesView payload) {
  return checked([&] { return impl_->engine->write(key_hash, payload); });
}

Result<std::uint64_t> Store::batch_write(std::span<const KeyValue> entries) {
  return checked([&] {
    std::vector<BytesView> keys;
    keys.reserve(entries.size());
    for (const KeyValue& entry : entries) keys.push_back(entry.key);
    const std::vector<std::uint64_t> hashes = hashes_of(keys);
    std::vector<HashedPayload> records;
    records.reserve(entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) records.push_back({hashes[i], entries[i].payload});
    return impl_->engine->batch_write(records, false);
  });
}

Result<std::uint64_t> Store::batch_write_with_key_hashes(std::span<const HashedPayload> entries, bool allow_null) {
  return checked([&] { return impl_->engine->batch_write(entries, allow_null); });
}

Result<std::uint64_t> Store::write_stream(BytesView key, const StreamSource& source) {
  return write_stream_with_key_hash(xxh3_64(key), source);
}

Result<std::uint64_t> Store::write_stream_with_key_hash(std::uint64_t key_hash, const StreamSource& source) {
  return checked([&] { return impl_->engine->write_stream(key_hash, source); });
}

Result<std::uint64_t> Store::erase(BytesView key) { return erase_with_key_hash(xxh3_64(key)); }

Result<std::uint64_t> Store::erase_with_key_hash(std::uint64_t key_hash) {
  return batch_erase_key_hashes({&key_hash, 1});
}

Result<std::uint64_t> Store::batch_erase(std::span<const BytesView> keys) {
  return checked([&] { return impl_->engine->erase(hashes_of(keys)); });
}

Result<std::uint64_t> Store::batch_erase_key_hashes(std::span<const std::uint64_t> key_hashes) {
  return checked([&] { return impl_->engine->erase(key_hashes); });
}

Result<std::uint64_t> Store::rename(BytesView old_key, BytesView new_key) {
  return checked([&]() -> Result<std::uint64_t> {
    const std::uint64_t from = xxh3_64(old_key);
    const std::uint64_t to = xxh3_64(new_key);
    if (from == to) return key_error(Errc::invalid_key, "rename: the new key is the old one");
    return impl_->engine->rename(from, to);
  });
}

Result<std::uint64_t> Store::Impl::copy(BytesView key, store::Engine& target, std::optional<Entry>& entry,
                                        store::Engine::Turn turn, bool flush) const {
  if (engine->same_file(target)) {
    return key_error(Errc::invalid_key, "copy: the target is the same store; use rename");
  }
  Result<std::optional<Entry>> found = engine->read(xxh3_64(key));
  if (!found) return std::move(found).error();
  entry = std::move(found).value();
  if (!entry) return key_error(Errc::key_not_found, "copy: there is no entry under the key");
  if (Result<void> good = store::check_entry(*entry, path); !good) return std::move(good).error();
  return target.write(entry->key_hash(), entry->payload(), std::move(turn), flush);
}

Result<std::uint64_t> Store::copy(BytesView key, Store& target) {
  return checked([&] {
    std::optional<Entry> entry;
    return impl_->copy(key, *target.impl_->engine, entry);
  });
}

Result<std::uint64_t> Store::transfer(BytesView key, Store& target) {
  return checked([&]() -> Result<std::uint64_t> {
    store::Engine& from = *impl_->engine;
    store::Engine& to = *target.impl_->engine;
    if (read_only()) {  // before the target has it
      const std::uint64_t none = 0;
      return from.erase({&none, 0});
    }
    // After a power failure the tombstone may be on the disk, and must not be there without the copy.
    const bool flush = !from.in_memory() && !to.in_memory();
    for (int tries = 0;; ++tries) {
      std::pair<store::Engine::Turn, store::Engine::Turn> turns;
      if (tries >= kFreeTries) turns = store::Engine::both_turns(from, to);
      const std::uint64_t generation = from.generation();
      std::optional<Entry> entry;
      if (Result<std::uint64_t> copied = impl_->copy(key, to, entry, std::move(turns.second), flush); !copied) {
        return copied;
      }
      const Result<std::optional<std::uint64_t>> erased =
          from.erase_unchanged(*entry, generation, std::move(turns.first));
      if (!erased) return erased.error();
      if (*erased) return **erased;
    }
  });
}

// ---- Reading ----

Result<std::optional<Entry>> Store::read(BytesView key) const { return read_one(*impl_->engine, xxh3_64(key)); }

Result<std::optional<Entry>> Store::read_with_key_hash(std::uint64_t key_hash) const {
  return read_one(*impl_->engine, key_hash);
}

Result<std::vector<std::optional<Entry>>> Store::batch_read(std::span<const BytesView> keys) const {
  return checked([&] { return impl_->engine->batch_read(hashes_of(keys)); });
}

Result<std::vector<std::optional<Entry>>> Store::batch_read_key_hashes(
    std::span<const std::uint64_t> key_hashes) const {
  return checked([&] { return impl_->engine->batch_read(key_hashes); });
}

Result<std::vector<std::optional<Entry>>> Store::batch_read_key_hashes(std::span<const std::uint64_t> key_hashes,
                                                                       std::span<const BytesView> keys) const {
  return checked([&]() -> Result<std::vector<std::optional<Entry>>> {
    if (keys.size() != key_hashes.size()) {
      return Error{.code = Errc::configuration,
                   .detail = "batch_read: " + std::to_string(key_hashes.size()) + " hashes, but " +
                             std::to_string(keys.size()) + " keys"};
    }
    constexpr unsigned kTagShift = 48;
    const std::vector<std::uint64_t> hashes = hashes_of(keys);
    Result<std::vector<std::optional<Entry>>> entries = impl_->engine->batch_read(key_hashes);
    for (std::size_t i = 0; entries && i < hashes.size(); ++i) {
      if (hashes[i] >> kTagShift != key_hashes[i] >> kTagShift) (*entries)[i].reset();
    }
    return entries;
  });
}

Result<std::optional<Entry>> Store::read_last_entry() const {
  return checked([&] {
    Entry entry;
    Result<bool> found = impl_->engine->read_last(entry);
    return optional_of(std::move(found), std::move(entry));
  });
}

Result<std::optional<EntryMetadata>> Store::metadata(BytesView key) const {
  return checked([&]() -> Result<std::optional<EntryMetadata>> {
    Result<std::optional<Entry>> entry = read(key);
    if (!entry) return std::move(entry).error();
    std::optional<EntryMetadata> metadata;
    if (*entry) metadata = (*entry)->metadata();
    return metadata;
  });
}

Result<bool> Store::exists(BytesView key) const { return exists_with_key_hash(xxh3_64(key)); }

Result<bool> Store::exists_with_key_hash(std::uint64_t key_hash) const {
  return checked([&] { return impl_->engine->exists(key_hash); });
}

Result<EntryIterator> Store::iterate() const {
  return checked([&]() -> Result<EntryIterator> {
    Result<store::LiveWalk> walk = impl_->engine->walk();
    if (!walk) return std::move(walk).error();
    return EntryIterator(std::unique_ptr<EntryIterator::Impl>(
        new EntryIterator::Impl{std::move(walk).value(), impl_->engine->path(), options().verify}));
  });
}

Result<std::uint64_t> Store::size() const {
  return checked([&] { return impl_->engine->size(); });
}

Result<bool> Store::empty() const {
  const Result<std::uint64_t> count = size();
  if (!count) return count.error();
  return *count == 0;
}

Result<std::uint64_t> Store::file_size() const {
  return checked([&] { return impl_->engine->file_size(); });
}

Result<std::uint64_t> Store::estimate_compaction_savings() const {
  return checked([&]() -> Result<std::uint64_t> {
    Result<store::LiveWalk> walk = impl_->engine->walk();
    if (!walk) return std::move(walk).error();
    std::uint64_t live = 0;
    Entry entry;
    Result<bool> more = walk->next(entry);
    for (; more && *more; more = walk->next(entry)) live += entry.file_size();
    if (!more) return std::move(more).error();
    const Result<std::uint64_t> size = file_size();
    if (!size) return size.error();
    return *size > live ? *size - live : 0;
  });
}

// ---- Looking after the file ----

Result<CompactResult> Store::compact(const Progress& progress) {
  return checked([&] { return impl_->engine->compact(progress); });
}

Result<CompactResult> Store::compact_to(std::string target, const Progress& progress) const {
  return checked([&] { return impl_->engine->compact_to(target, progress); });
}

Result<VerifyReport> Store::verify(const Progress& progress) const {
  return checked([&] { return impl_->engine->verify(progress); });
}

Result<RecoverReport> Store::recover(std::string path, const StoreOptions& options, const Progress& progress) {
  return checked([&]() -> Result<RecoverReport> {
    if (Result<void> good = check_hash_backend(); !good) return std::move(good).error();
    store::FileSystem& files = options.files != nullptr ? *options.files : store::system_files();
    if (options.files == nullptr) path = store::behind_links(path);
    const Result<std::shared_ptr<store::File>> file = store::open_locked(files, path, false, options.lock);
    if (!file) return file.error();
    std::shared_ptr<store::File> fresh;
    store::Named named = store::Named::old_file;
    const auto unmark = [&]() -> Result<void> {
      store::MarkFile mark(files, path);
      if (Result<void> written = mark.write_unknown(**file); !written) return written;
      return mark.sync();
    };
    Result<RecoverReport> report =
        store::recover_file(files, **file, path, options.lock, progress, unmark, fresh, named);
    // All of it is on the disk: without the mark, damage would be taken for a write that did not end, and cut off.
    if (report && fresh != nullptr) (void)store::MarkFile(files, path).write(*fresh, report->kept_bytes);
    return report;
  });
}

Result<RecoverReport> Store::recover(const Progress& progress) {
  return checked([&] { return impl_->engine->recover(progress); });
}

Result<void> Store::flush() {
  return checked([&] { return impl_->engine->flush(); });
}

Result<std::uint64_t> Store::refresh() {
  return checked([&] { return impl_->engine->refresh(); });
}

Result<void> Store::close() {
  return checked([&] { return impl_->engine->close(); });
}

bool Store::closed() const noexcept { return impl_->engine->closed(); }
const std::string& Store::path() const noexcept { return impl_->path; }
const StoreOptions& Store::options() const noexcept { return impl_->engine->options(); }
const OpenReport& Store::opened() const noexcept { return impl_->engine->opened(); }
std::uint64_t Store::tail() const noexcept { return impl_->engine->tail(); }
std::uint64_t Store::generation() const noexcept { return impl_->engine->generation(); }
bool Store::read_only() const noexcept { return impl_->engine->read_only(); }
const std::shared_ptr<store::Engine>& Store::engine() const noexcept { return impl_->engine; }

}  // namespace simdrive
