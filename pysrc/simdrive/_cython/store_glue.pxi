# simdrive::Store as Cython can call it: values and errors come out through references. Keys come as hashes.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from simdrive._cython.libsimdrive.client cimport CProgress
from simdrive._cython.libsimdrive.store cimport (
    CCompactResult, CEntry, CRecoverReport, CStore, CStoreOptions, CStreamSource, CVerifyReport,
)


cdef extern from *:
    """
    #include <algorithm>
    #include <atomic>
    #include <cstring>
    #include <memory>
    #include <mutex>
    #include <optional>
    #include <span>
    #include <string>
    #include <vector>

    #include "simdrive/store.hpp"

    namespace {

    simdrive::Store* sd_store_of(simdrive::Result<simdrive::Store> r, simdrive::Error& error) {
      if (!keep_error(r, error)) return nullptr;
      return new simdrive::Store(std::move(r).value());
    }
    simdrive::Store* sd_store_open(const std::string& path, const simdrive::StoreOptions& o, simdrive::Error& error) {
      return sd_store_of(simdrive::Store::open(path, o), error);
    }
    simdrive::Store* sd_store_memory(const simdrive::StoreOptions& o, simdrive::Error& error) {
      return sd_store_of(simdrive::Store::memory(o), error);
    }

    // The thread that is in a callback of a call that holds the store's append lock: its writes would wait for ever.
    class Holder {
     public:
      void enter(unsigned long thread) noexcept { thread_.store(thread); }
      void leave() noexcept { thread_.store(0); }
      bool is(unsigned long thread) const noexcept { return thread_.load(std::memory_order_relaxed) == thread; }

     private:
      std::atomic<unsigned long> thread_{0};
    };

    bool sd_store_write(simdrive::Store& s, uint64_t hash, Flat v, simdrive::Error& error) {
      auto r = s.write_with_key_hash(hash, {v.data, v.size});
      return keep_error(r, error);
    }
    bool sd_store_batch_write(simdrive::Store& s, const std::vector<uint64_t>& hashes, const Flat* v, bool allow_null,
                              simdrive::Error& error) {
      std::vector<simdrive::HashedPayload> entries(hashes.size());
      for (size_t i = 0; i < hashes.size(); ++i) entries[i] = {hashes[i], {v[i].data, v[i].size}};
      auto r = s.batch_write_with_key_hashes(entries, allow_null);
      return keep_error(r, error);
    }
    bool sd_store_write_stream(simdrive::Store& s, uint64_t hash, const simdrive::StreamSource& source,
                               simdrive::Error& error) {
      auto r = s.write_stream_with_key_hash(hash, source);
      return keep_error(r, error);
    }
    bool sd_store_erase(simdrive::Store& s, const std::vector<uint64_t>& hashes, simdrive::Error& error) {
      auto r = s.batch_erase_key_hashes(hashes);
      return keep_error(r, error);
    }
    bool sd_store_rename(simdrive::Store& s, Flat from, Flat to, simdrive::Error& error) {
      auto r = s.rename({from.data, from.size}, {to.data, to.size});
      return keep_error(r, error);
    }
    bool sd_store_copy(simdrive::Store& s, Flat k, simdrive::Store& target, bool erase, simdrive::Error& error) {
      auto r = erase ? s.transfer({k.data, k.size}, target) : s.copy({k.data, k.size}, target);
      return keep_error(r, error);
    }

    // 1: found; 0: absent; -1: an error.
    int sd_found(simdrive::Result<std::optional<simdrive::Entry>>&& r, simdrive::Entry& entry, simdrive::Error& error) {
      if (!keep_error(r, error)) return -1;
      if (!r.value()) return 0;
      entry = std::move(*r.value());
      return 1;
    }
    int sd_store_read(const simdrive::Store& s, uint64_t hash, simdrive::Entry& entry, simdrive::Error& error) {
      return sd_found(s.read_with_key_hash(hash), entry, error);
    }
    int sd_store_read_last(const simdrive::Store& s, simdrive::Entry& entry, simdrive::Error& error) {
      return sd_found(s.read_last_entry(), entry, error);
    }

    // The entries of a batch; absent keys have none.
    using Entries = std::vector<std::optional<simdrive::Entry>>;
    bool sd_store_batch_read(const simdrive::Store& s, const std::vector<uint64_t>& hashes, Entries& out,
                             simdrive::Error& error) {
      auto r = s.batch_read_key_hashes(hashes);
      if (!keep_error(r, error)) return false;
      out = std::move(r).value();
      return true;
    }
    bool sd_has(const Entries& entries, size_t i) noexcept { return entries[i].has_value(); }
    simdrive::Entry& sd_at(Entries& entries, size_t i) noexcept { return *entries[i]; }
    // To where `targets` says, which is null for absent keys.
    void sd_copy_entries(const Entries& entries, char* const* targets) noexcept {
      for (size_t i = 0; i < entries.size(); ++i) {
        if (entries[i]) std::memcpy(targets[i], entries[i]->data(), static_cast<size_t>(entries[i]->size()));
      }
    }

    bool sd_store_exists(const simdrive::Store& s, uint64_t hash, uint64_t& out, simdrive::Error& error) {
      return keep(s.exists_with_key_hash(hash), out, error);
    }
    bool sd_store_size(const simdrive::Store& s, uint64_t& out, simdrive::Error& error) {
      return keep(s.size(), out, error);
    }
    bool sd_store_file_size(const simdrive::Store& s, uint64_t& out, simdrive::Error& error) {
      return keep(s.file_size(), out, error);
    }
    bool sd_store_savings(const simdrive::Store& s, uint64_t& out, simdrive::Error& error) {
      return keep(s.estimate_compaction_savings(), out, error);
    }
    bool sd_store_refresh(simdrive::Store& s, uint64_t& out, simdrive::Error& error) {
      return keep(s.refresh(), out, error);
    }
    bool sd_store_flush(simdrive::Store& s, simdrive::Error& error) {
      auto r = s.flush();
      return keep_error(r, error);
    }
    bool sd_store_close(simdrive::Store& s, simdrive::Error& error) {
      auto r = s.close();
      return keep_error(r, error);
    }

    template <class T>
    bool sd_keep_report(simdrive::Result<T> r, T& out, simdrive::Error& error) {
      if (!keep_error(r, error)) return false;
      out = std::move(r).value();
      return true;
    }
    bool sd_store_verify(const simdrive::Store& s, const simdrive::Progress& p, simdrive::VerifyReport& out,
                         simdrive::Error& error) {
      return sd_keep_report(s.verify(p), out, error);
    }
    bool sd_store_recover(simdrive::Store& s, const simdrive::Progress& p, simdrive::RecoverReport& out,
                          simdrive::Error& error) {
      return sd_keep_report(s.recover(p), out, error);
    }
    bool sd_store_recover_file(const std::string& path, const simdrive::StoreOptions& o, const simdrive::Progress& p,
                               simdrive::RecoverReport& out, simdrive::Error& error) {
      return sd_keep_report(simdrive::Store::recover(path, o, p), out, error);
    }
    // An empty target: in place.
    bool sd_store_compact(simdrive::Store& s, const std::string& target, const simdrive::Progress& p,
                          simdrive::CompactResult& out, simdrive::Error& error) {
      return sd_keep_report(target.empty() ? s.compact(p) : s.compact_to(target, p), out, error);
    }

    // The entries of an iteration, some of them fetched ahead, so that the GIL is not given away for each.
    class Scan {
     public:
      static Scan* start(const simdrive::Store& s, simdrive::Error& error) {
        auto r = s.iterate();
        if (!keep_error(r, error)) return nullptr;
        return new Scan(std::move(r).value());
      }

      // 1: an entry; 0: the end; -1: an error, behind which the iteration can go on; 2: fetch() has to be called.
      int next(simdrive::Entry& entry, simdrive::Error& error) {
        const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
        return lock.owns_lock() ? take(entry, error) : 2;
      }
      int fetch(simdrive::Entry& entry, simdrive::Error& error) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (at_ == ahead_.size() && !failed_ && !over_) fill();
        return take(entry, error);
      }

     private:
      static constexpr size_t kAheadMax = 256;

      explicit Scan(simdrive::EntryIterator iterator) : iterator_(std::move(iterator)) {}

      int take(simdrive::Entry& entry, simdrive::Error& error) {
        if (at_ < ahead_.size()) {
          entry = std::move(ahead_[at_++]);
          return 1;
        }
        if (failed_) {
          failed_ = false;
          error = std::move(failure_);
          return -1;
        }
        return over_ ? 0 : 2;
      }

      void fill() {
        ahead_.clear();
        at_ = 0;
        ahead_.reserve(count_);
        while (ahead_.size() < count_) {
          simdrive::Entry entry;
          auto r = iterator_.next(entry);
          failed_ = !keep_error(r, failure_);
          over_ = !failed_ && !r.value();
          if (failed_ || over_) break;
          ahead_.push_back(std::move(entry));
        }
        count_ = std::min(2 * count_, kAheadMax);
      }

      std::mutex mutex_;
      simdrive::EntryIterator iterator_;
      std::vector<simdrive::Entry> ahead_;
      size_t at_ = 0;     // of the next in ahead_
      size_t count_ = 1;  // of entries to fetch: few for who wants few
      simdrive::Error failure_;
      bool failed_ = false;
      bool over_ = false;
    };

    }  // namespace
    """
    CStore* sd_store_open(const string&, const CStoreOptions&, Error&) except +raise_unexpected nogil
    CStore* sd_store_memory(const CStoreOptions&, Error&) except +raise_unexpected nogil

    cdef cppclass Holder:
        void enter(unsigned long) noexcept nogil
        void leave() noexcept nogil
        # "is" is a word of Cython.
        cbool has "is"(unsigned long) noexcept nogil

    cbool sd_store_write(CStore&, uint64_t, Flat, Error&) except +raise_unexpected nogil
    cbool sd_store_batch_write(
        CStore&, const vector[uint64_t]&, const Flat*, cbool, Error&
    ) except +raise_unexpected nogil
    cbool sd_store_write_stream(CStore&, uint64_t, const CStreamSource&, Error&) except +raise_unexpected nogil
    cbool sd_store_erase(CStore&, const vector[uint64_t]&, Error&) except +raise_unexpected nogil
    cbool sd_store_rename(CStore&, Flat, Flat, Error&) except +raise_unexpected nogil
    cbool sd_store_copy(CStore&, Flat, CStore&, cbool, Error&) except +raise_unexpected nogil
    int sd_store_read(CStore&, uint64_t, CEntry&, Error&) except +raise_unexpected nogil
    int sd_store_read_last(CStore&, CEntry&, Error&) except +raise_unexpected nogil

    cdef cppclass Entries:
        Entries() noexcept
        size_t size() noexcept nogil
    cbool sd_store_batch_read(CStore&, const vector[uint64_t]&, Entries&, Error&) except +raise_unexpected nogil
    cbool sd_has(const Entries&, size_t) noexcept nogil
    CEntry& sd_at(Entries&, size_t) noexcept nogil
    void sd_copy_entries(const Entries&, char**) noexcept nogil

    cbool sd_store_exists(CStore&, uint64_t, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_store_size(CStore&, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_store_file_size(CStore&, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_store_savings(CStore&, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_store_refresh(CStore&, uint64_t&, Error&) except +raise_unexpected nogil
    cbool sd_store_flush(CStore&, Error&) except +raise_unexpected nogil
    cbool sd_store_close(CStore&, Error&) except +raise_unexpected nogil
    cbool sd_store_verify(CStore&, const CProgress&, CVerifyReport&, Error&) except +raise_unexpected nogil
    cbool sd_store_recover(CStore&, const CProgress&, CRecoverReport&, Error&) except +raise_unexpected nogil
    cbool sd_store_recover_file(
        const string&, const CStoreOptions&, const CProgress&, CRecoverReport&, Error&
    ) except +raise_unexpected nogil
    cbool sd_store_compact(
        CStore&, const string&, const CProgress&, CCompactResult&, Error&
    ) except +raise_unexpected nogil

    cdef cppclass Scan:
        int next(CEntry&, Error&) except +raise_unexpected nogil
        int fetch(CEntry&, Error&) except +raise_unexpected nogil
    Scan* sd_scan "Scan::start"(CStore&, Error&) except +raise_unexpected nogil
