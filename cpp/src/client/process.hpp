// What a process needs once for all its clients: the thread that looks after idle connections, and fork().
#pragma once

#include <memory>

namespace simdrive::client {

class Connection;

/// Told in the child of fork(), on the only thread there is.
class ForkAware {
 public:
  virtual void after_fork_in_child() noexcept = 0;

 protected:
  ~ForkAware() = default;
};

/// Looks after `connection` about once a second for as long as it lives. Starts the thread on first use.
void keep_alive(const std::shared_ptr<Connection>& connection);

void register_fork_aware(ForkAware& object);
void unregister_fork_aware(ForkAware& object) noexcept;

}  // namespace simdrive::client
