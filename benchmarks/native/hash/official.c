/* The official xxHash for one instruction set, behind calls that no optimiser sees through: compiled once for each,
 * with OFFICIAL_SET as its name and XXH_VECTOR as its choice. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

uint64_t JOIN(official_xxh3_, OFFICIAL_SET)(const void* data, size_t size);
void JOIN(official_rows_, OFFICIAL_SET)(const uint8_t* rows, size_t width, size_t count, uint64_t* out);

uint64_t JOIN(official_xxh3_, OFFICIAL_SET)(const void* data, size_t size) { return XXH3_64bits(data, size); }

void JOIN(official_rows_, OFFICIAL_SET)(const uint8_t* rows, size_t width, size_t count, uint64_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = XXH3_64bits(rows + i * width, width);
}
