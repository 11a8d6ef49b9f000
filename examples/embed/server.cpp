// A C++ program that serves a store of its own, and is its own client: server [FILE [SECONDS]]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <simdrive/client.hpp>
#include <simdrive/server.hpp>
#include <simdrive/store.hpp>

namespace {

simdrive::BytesView bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

int failed(const simdrive::Error& error) {
  std::fprintf(stderr, "%s\n", error.detail.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 3) return std::fprintf(stderr, "usage: server [FILE [SECONDS]]\n"), 2;
  auto store = argc > 1 ? simdrive::Store::open(argv[1]) : simdrive::Store::memory();
  if (!store) return failed(store.error());

  simdrive::ServerOptions options;  // this machine only, a free port
  options.limits.max_connections = 100;
  options.log = [](const simdrive::LogRecord& record) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(record.message.size()), record.message.data());
  };
  auto server = simdrive::Server::start(*store, options);
  if (!server) return failed(server.error());

  auto client = simdrive::Client::connect({.url = server->url()});
  if (!client) return failed(client.error());
  if (auto done = client->write(bytes_of("greeting"), bytes_of("hello")); !done) return failed(done.error());

  // The store stays the program's own: what clients write is here at once, and the other way round.
  auto entry = store->read(bytes_of("greeting"));
  if (!entry) return failed(entry.error());
  if (!*entry) return std::fprintf(stderr, "the client's value is missing\n"), 1;
  std::printf("%.*s, over %llu requests at %s\n", static_cast<int>((*entry)->size()),
              reinterpret_cast<const char*>((*entry)->data()),
              static_cast<unsigned long long>(server->stats().requests), server->url().c_str());

  if (argc > 2) server->wait(std::atof(argv[2]));  // for others
  if (auto stopped = server->stop(); !stopped) return failed(stopped.error());
  auto closed = store->close();
  return closed ? 0 : failed(closed.error());
}
