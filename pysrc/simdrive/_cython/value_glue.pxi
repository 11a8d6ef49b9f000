# What values live in, and where those of out="view" go: blocks that C++ makes, so that a receiver needs no GIL.

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool as cbool

from simdrive._cython.libsimdrive.block cimport CBlock
from simdrive._cython.libsimdrive.store cimport CEntry


cdef extern from *:
    """
    #include <cstdint>
    #include <memory>
    #include <new>
    #include <utility>
    #include <vector>

    #include "simdrive/block.hpp"
    #include "simdrive/client.hpp"
    #include "simdrive/store.hpp"

    namespace {

    // What keeps the bytes of a value: a block, or an entry of a store with its mapping. Copies share it.
    class Owner {
     public:
      Owner() noexcept = default;
      explicit Owner(simdrive::Block block) noexcept : block_(std::move(block)) {}

      // False: no memory.
      bool hold(simdrive::Entry&& entry) noexcept {
        try {
          entry_ = std::make_shared<const simdrive::Entry>(std::move(entry));
        } catch (const std::bad_alloc&) {
          return false;
        }
        return true;
      }
      // Only of what has held one.
      const simdrive::Entry& entry() const noexcept { return *entry_; }
      bool slow_to_free() const noexcept { return block_.alone() && block_.size() >= simdrive::Block::kLarge; }
      void reset() noexcept {
        block_.reset();
        entry_.reset();
      }

     private:
      simdrive::Block block_;
      std::shared_ptr<const simdrive::Entry> entry_;
    };

    // Values below this share blocks; from it on each has a block of its own.
    constexpr uint64_t kOwnBlock = 64 << 10;
    // What one small value can keep alive of others.
    constexpr uint64_t kSharedBlock = 1 << 20;

    struct View {
      simdrive::Block block;
      const uint8_t* data = nullptr;
      uint64_t size = simdrive::kAbsent;
    };

    // A second try of a call makes blocks of its own, after those of the first are gone.
    bool sd_place_view(void* context, const uint64_t* sizes, size_t, uint8_t** targets) noexcept {
      auto& block = *static_cast<simdrive::Block*>(context);
      block.reset();
      block = simdrive::Block::make(sizes[0]);
      targets[0] = block.data();
      return static_cast<bool>(block);
    }

    bool sd_place_views(void* context, const uint64_t* sizes, size_t count, uint8_t** targets) noexcept {
      auto& views = *static_cast<std::vector<View>*>(context);
      const auto room = [&](size_t i) { return (sizes[i] + 7) & ~uint64_t{7}; };  // values stay aligned to 8 bytes
      try {
        views.clear();
        views.resize(count);
        size_t shared_end = 0;  // of the values that fit in `shared`
        uint64_t used = 0;
        simdrive::Block shared;
        for (size_t i = 0; i < count; ++i) {
          if (sizes[i] == simdrive::kAbsent) continue;
          View& view = views[i];
          view.size = sizes[i];
          if (sizes[i] >= kOwnBlock) {
            view.block = simdrive::Block::make(sizes[i]);
            targets[i] = view.block.data();
          } else {
            if (i >= shared_end) {
              uint64_t total = 0;
              for (shared_end = i; shared_end < count; ++shared_end) {
                if (sizes[shared_end] >= kOwnBlock) continue;  // kAbsent, too
                if (total + room(shared_end) > kSharedBlock) break;
                total += room(shared_end);
              }
              shared = simdrive::Block::make(total);
              used = 0;
            }
            view.block = shared;
            targets[i] = shared.data() + used;
            used += room(i);
          }
          if (!view.block) return false;
          view.data = targets[i];
        }
      } catch (const std::bad_alloc&) {
        return false;
      }
      return true;
    }

    }  // namespace
    """
    cdef cppclass Owner:
        Owner() noexcept
        Owner(CBlock) noexcept
        cbool hold(CEntry) noexcept nogil
        const CEntry& entry() noexcept nogil
        cbool slow_to_free() noexcept nogil
        void reset() noexcept nogil

    cdef cppclass View:
        CBlock block
        const uint8_t* data
        uint64_t size

    cbool sd_place_view(void* context, const uint64_t* sizes, size_t count, uint8_t** targets) noexcept nogil
    cbool sd_place_views(void* context, const uint64_t* sizes, size_t count, uint8_t** targets) noexcept nogil
