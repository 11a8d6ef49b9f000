// A File that hands every call on: what the doubles override is what they change.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "store/file.hpp"

namespace simdrive::testing_store {

class ForwardingFile : public store::File {
 public:
  explicit ForwardingFile(std::unique_ptr<store::File> under) : under_(std::move(under)) {}

  [[nodiscard]] const std::string& path() const noexcept override { return under_->path(); }
  void renamed(const std::string& path) override { under_->renamed(path); }
  [[nodiscard]] bool created() const noexcept override { return under_->created(); }
  [[nodiscard]] store::FileIdentity identity() const noexcept override { return under_->identity(); }
  [[nodiscard]] store::FileAccess access() override { return under_->access(); }
  void set_access(const store::FileAccess& access) noexcept override { under_->set_access(access); }
  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, MutableBytes out) override {
    return under_->read_at(offset, out);
  }
  [[nodiscard]] store::Written write_at(std::uint64_t offset, std::span<const BytesView> pieces) override {
    return under_->write_at(offset, pieces);
  }
  void expect(std::uint64_t offset, std::uint64_t bytes) noexcept override { under_->expect(offset, bytes); }
  [[nodiscard]] Result<void> reserve(std::uint64_t offset, std::uint64_t bytes) override {
    return under_->reserve(offset, bytes);
  }
  [[nodiscard]] Result<std::uint64_t> size() override { return under_->size(); }
  [[nodiscard]] Result<void> truncate(std::uint64_t size) override { return under_->truncate(size); }
  [[nodiscard]] Result<void> sync_data() override { return under_->sync_data(); }
  [[nodiscard]] Result<void> sync_all() override { return under_->sync_all(); }
  [[nodiscard]] Result<void> try_lock_exclusive() override { return under_->try_lock_exclusive(); }
  void unlock() noexcept override { under_->unlock(); }
  [[nodiscard]] Result<store::Mapping> map(std::uint64_t size) override { return under_->map(size); }
  [[nodiscard]] bool covers(const store::Mapping& mapping, std::uint64_t size) const noexcept override {
    return under_->covers(mapping, size);
  }
  [[nodiscard]] bool maps_ahead() const noexcept override { return under_->maps_ahead(); }
  [[nodiscard]] std::uint64_t data_end(std::uint64_t size) noexcept override { return under_->data_end(size); }
  void advise(std::uint64_t offset, std::uint64_t size, store::Advice advice) noexcept override {
    under_->advise(offset, size, advice);
  }

 protected:
  const std::unique_ptr<store::File> under_;
};

}  // namespace simdrive::testing_store
