#include "client/process.hpp"

#ifndef _WIN32
#include <pthread.h>
#endif

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace simdrive::client {

namespace {

constexpr std::chrono::seconds kTick{1};

struct Process {
  std::mutex mutex;
  std::condition_variable more;
  std::vector<std::weak_ptr<Ticked>> clients;
  std::vector<ForkAware*> objects;
  bool running = false;
};

// Never destroyed: the thread may outlive static destruction.
Process& process() {
  static Process& instance = *new Process;
  return instance;
}

#ifndef _WIN32
void before_fork() {
  process().mutex.lock();
  for (ForkAware* object : process().objects) object->before_fork();
}

void after_fork_in_parent() {
  for (ForkAware* object : process().objects) object->after_fork_in_parent();
  process().mutex.unlock();
}

void after_fork_in_child() {
  // The thread and whoever held these are gone: new ones, in place.
  Process& p = process();
  ::new (&p.mutex) std::mutex;
  ::new (&p.more) std::condition_variable;
  ::new (&p.clients) std::vector<std::weak_ptr<Ticked>>;
  p.running = false;
  for (ForkAware* object : p.objects) object->after_fork_in_child();
}

void watch_forks() {
  static const int installed = ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  (void)installed;
}
#else
void watch_forks() {}
#endif

std::vector<std::shared_ptr<Ticked>> living(Process& p) {
  std::vector<std::shared_ptr<Ticked>> out;
  std::erase_if(p.clients, [&](const std::weak_ptr<Ticked>& w) {
    auto c = w.lock();
    if (!c) return true;
    out.push_back(std::move(c));
    return false;
  });
  return out;
}

void look_after_clients() {
  Process& p = process();
  std::unique_lock lock(p.mutex);
  for (;;) {
    if (p.clients.empty()) {
      p.more.wait(lock);
    } else {
      p.more.wait_for(lock, kTick);
    }
    auto clients = living(p);
    lock.unlock();
    const auto now = net::Clock::now();
    for (const auto& c : clients) c->tick(now);
    clients.clear();
    lock.lock();
  }
}

}  // namespace

void look_after(const std::shared_ptr<Ticked>& client) {
  Process& p = process();
  const std::lock_guard lock(p.mutex);
  const auto same = [&](const std::weak_ptr<Ticked>& w) { return !w.owner_before(client) && !client.owner_before(w); };
  if (std::none_of(p.clients.begin(), p.clients.end(), same)) p.clients.push_back(client);
  if (p.running) {
    if (p.clients.size() == 1) p.more.notify_one();
    return;
  }
  try {
    std::thread(look_after_clients).detach();
    p.running = true;
  } catch (const std::system_error&) {
    // No thread to be had: clients in use look after themselves, and the next connection tries again.
    p.running = false;
  }
}

void register_fork_aware(ForkAware& object) {
  watch_forks();
  Process& p = process();
  const std::lock_guard lock(p.mutex);
  p.objects.push_back(&object);
}

void unregister_fork_aware(ForkAware& object) noexcept {
  Process& p = process();
  const std::lock_guard lock(p.mutex);
  std::erase(p.objects, &object);
}

}  // namespace simdrive::client
