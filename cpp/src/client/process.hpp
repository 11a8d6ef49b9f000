// What a process needs once for all its clients: the thread that looks after idle ones, and fork().
#pragma once

#include <memory>

#include "net/socket.hpp"

namespace simdrive::client {

/// Told of fork(), on the thread that calls it; in the child it is the only one there is.
class ForkAware {
 public:
  /// To take locks, so that what they guard is whole in the child.
  virtual void before_fork() noexcept {}
  virtual void after_fork_in_parent() noexcept {}
  virtual void after_fork_in_child() noexcept = 0;

 protected:
  ~ForkAware() = default;
};

/// Looked after by the process thread. Must not wait.
class Ticked {
 public:
  virtual void tick(net::TimePoint now) = 0;

 protected:
  ~Ticked() = default;
};

/// Calls `client` about once a second for as long as it lives; saying it again changes nothing. Starts the thread on
/// first use.
void look_after(const std::shared_ptr<Ticked>& client);

void register_fork_aware(ForkAware& object);
void unregister_fork_aware(ForkAware& object) noexcept;

}  // namespace simdrive::client
