// A C++ program on the installed library: hashes a key, then stores and reads it if a server is at SIMDRIVE_URL.
#include <cstdio>
#include <cstdlib>

#include <simdrive/client.hpp>
#include <simdrive/hash.hpp>
#include <simdrive/version.hpp>

int main() {
  const simdrive::Bytes key = {'h', 'e', 'l', 'l', 'o'};
  const simdrive::Bytes value = {'w', 'o', 'r', 'l', 'd'};
  std::printf("simdrive %s, xxh3 %016llx\n", simdrive::kVersion.data(),
              static_cast<unsigned long long>(simdrive::xxh3_64(key)));
  const char* url = std::getenv("SIMDRIVE_URL");
  if (!url || !*url) return 0;
  simdrive::Options options;
  options.url = url;
  auto client = simdrive::Client::connect(options);
  if (!client) return std::fprintf(stderr, "%s\n", client.error().detail.c_str()), 1;
  if (auto done = client->write(key, value); !done) return std::fprintf(stderr, "%s\n", done.error().detail.c_str()), 1;
  auto found = client->read(key);
  return found && *found == value ? 0 : 1;
}
