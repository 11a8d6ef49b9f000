#include "simdrive/server.hpp"

#ifndef _WIN32
#include <unistd.h>
#endif

#include <exception>
#include <utility>

#include "server/service.hpp"
#include "server/store_backend.hpp"

namespace simdrive {
namespace {

long process_id() noexcept {
#ifdef _WIN32
  return 0;  // no fork()
#else
  return static_cast<long>(::getpid());
#endif
}

}  // namespace

struct Server::Impl {
  Impl(const Store& store, const ServerOptions& options) : backend(store), service(backend, options) {}

  /// Whether this is a copy of another process's server: its threads are not here.
  [[nodiscard]] bool forked() const noexcept { return process != process_id(); }

  server::StoreBackend backend;
  server::Service service;
  const long process = process_id();
};

Result<Server> Server::start(const Store& store, const ServerOptions& options) {
  if (store.closed()) return Error{Errc::closed, "cannot start the server: the store is closed"};
  if (store.opened().incomplete) {  // clients would be told that keys are absent that are not
    return Error{.code = Errc::store_corrupt,
                 .detail = "cannot start the server: entries of the store " + store.path() +
                           " are missing, since the file is damaged; recover() keeps what is intact",
                 .offset = store.opened().damaged_offset};
  }
  if (auto checked = server::check(options); !checked) return std::move(checked).error();
  try {
    auto impl = std::make_unique<Impl>(store, options);
    if (auto started = impl->service.start(options); !started) return std::move(started).error();
    return Server(std::move(impl));
  } catch (const std::exception& error) {
    return Error{Errc::out_of_memory, std::string("cannot start the server: ") + error.what()};
  }
}

Server::Server(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;

Server& Server::operator=(Server&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

Server::~Server() {
  if (!impl_) return;
  if (impl_->forked()) {
    // What the parent's threads hold cannot be taken apart here: it is left as it is.
    static_cast<void>(impl_.release());  // NOLINT(bugprone-unused-return-value)
  } else {
    (void)stop();
  }
}

std::string Server::url() const { return impl_->service.url(); }
std::uint16_t Server::port() const noexcept { return impl_->service.port(); }
ServerStats Server::stats() const { return impl_->service.status().stats; }

Result<void> Server::stop(double timeout) {
  if (impl_->forked()) return Error{Errc::closed, "the server is in the process that started it, not in this child"};
  return impl_->service.stop(timeout);
}

bool Server::wait(double seconds) const { return impl_->forked() || impl_->service.wait(seconds); }
bool Server::running() const noexcept { return !impl_->forked() && !impl_->service.stopping(); }

}  // namespace simdrive
