// A C++ program on the installed library that keeps values in a file of its own: store FILE
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

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
  if (argc != 2) return std::fprintf(stderr, "usage: store FILE\n"), 2;
  auto store = simdrive::Store::open(argv[1], {.sync = simdrive::StoreSync::batch});
  if (!store) return failed(store.error());

  // The number of runs, which the file remembers.
  const auto key = bytes_of("runs");
  std::uint32_t runs = 0;
  {
    auto found = store->read(key);
    if (!found) return failed(found.error());
    if (const auto& entry = *found) {  // an entry is the file's own memory: no copy
      for (const std::uint8_t digit : entry->payload()) runs = runs * 10 + (digit - '0');
    }
  }
  const std::string text = std::to_string(++runs);
  if (auto done = store->write(key, bytes_of(text)); !done) return failed(done.error());

  const simdrive::KeyValue pair[] = {{bytes_of("greeting"), bytes_of("hello")}, {bytes_of("old"), bytes_of("gone")}};
  if (auto done = store->batch_write(pair); !done) return failed(done.error());
  if (auto done = store->erase(bytes_of("old")); !done) return failed(done.error());

  auto entries = store->iterate();  // newest first
  if (!entries) return failed(entries.error());
  simdrive::Entry entry;
  auto more = entries->next(entry);
  for (; more && *more; more = entries->next(entry)) {
    std::printf("%016llx: %.*s\n", static_cast<unsigned long long>(entry.key_hash()), static_cast<int>(entry.size()),
                reinterpret_cast<const char*>(entry.data()));
  }
  if (!more) return failed(more.error());
  std::printf("run %u, %llu keys\n", runs, static_cast<unsigned long long>(*store->size()));
  auto closed = store->close();  // on the disk now
  return closed ? 0 : failed(closed.error());
}
