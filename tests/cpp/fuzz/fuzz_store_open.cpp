// Bytes opened as a store file, with and without a sync mark: no crash, every record inside, what a cut leaves opens
// without another cut and with the same records, and the tail is that of the plain rule.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/endian.hpp"
#include "simdrive/hash.hpp"
#include "store/format.hpp"
#include "store/recovery.hpp"
#include "store/salvage.hpp"
#include "store/walk.hpp"

namespace {

using namespace simdrive;
using store::Action;

constexpr std::size_t kMaxInput = 8192;
constexpr std::size_t kSmallFile = 2048;  // every place of it can be tried as a tail

void require(bool condition) {
  if (!condition) std::abort();
}

class Offsets final : public store::RecordVisitor {
 public:
  void restart() override { seen.clear(); }
  [[nodiscard]] Result<void> records(std::span<const store::RecordRef> batch) override {
    for (const store::RecordRef& ref : batch) seen.push_back(ref.offset);
    return {};
  }
  std::vector<std::uint64_t> seen;
};

class Pieces final : public store::ByteSource {
 public:
  explicit Pieces(BytesView bytes) : memory_(bytes) {}
  [[nodiscard]] std::uint64_t size() const noexcept override { return memory_.size(); }
  [[nodiscard]] Result<void> read_at(std::uint64_t offset, MutableBytes out) override {
    require(offset <= size() && out.size() <= size() - offset);
    return memory_.read_at(offset, out);
  }

 private:
  store::MemorySource memory_;
};

struct Opened {
  store::Plan plan;
  std::vector<std::uint64_t> seen;
};

Opened open(store::ByteSource& source, const std::optional<store::SyncMark>& mark,
            const store::RecoverOptions& options) {
  Offsets visitor;
  auto plan = store::recover(source, mark, visitor, options);
  require(plan.ok());
  return {std::move(*plan), std::move(visitor.seen)};
}

// The rule for a tail, tried at every place.
std::uint64_t highest_tail(BytesView file) {
  store::MemorySource source(file);
  store::Reader reader(source);
  Offsets chain;
  for (std::uint64_t tail = file.size(); tail >= store::kMinTail; --tail) {
    store::Record record;
    const auto found = store::record_at(reader, tail, store::Layout::aligned64, record);
    require(found.ok());
    if (!*found || record.trailer.is_zero()) continue;
    const auto good = store::verify_record(reader, record);
    require(good.ok());
    if (!*good) continue;
    const auto walked = store::walk(source, tail, store::Layout::aligned64, chain);
    require(walked.ok());
    if (walked->complete) return tail;
  }
  return 0;
}

void check(BytesView file, const std::optional<store::SyncMark>& mark, const store::RecoverOptions& options,
           bool in_pieces) {
  store::MemorySource source(file);
  const Opened opened = open(source, mark, options);
  const store::Plan& plan = opened.plan;
  require(plan.size == file.size() && plan.tail <= plan.size);
  require((plan.action == Action::refuse) == (plan.refusal != store::Refusal::none));
  require(plan.action != Action::open || plan.tail == plan.size);
  require(plan.action != Action::refuse || opened.seen.empty());
  require(plan.action == Action::refuse || opened.seen.size() == plan.records);
  std::uint64_t above = plan.tail;
  for (const std::uint64_t offset : opened.seen) {
    require(offset >= 1 && offset + store::kTrailerBytes <= above);
    above = offset;
  }
  const bool safe = options.rule == store::Rule::safe;
  const bool matched = plan.mark == store::MarkState::matched;
  if (safe && matched && plan.action != Action::refuse && !options.permit_loss) require(plan.tail >= mark->tail);
  if (safe && !matched && plan.layout == store::Layout::aligned64 && file.size() <= kSmallFile) {
    require(plan.tail == highest_tail(file));
  }
  if (plan.action == Action::cut) {
    store::MemorySource rest(file.first(static_cast<std::size_t>(plan.tail)));
    const Opened again = open(rest, mark, options);
    require(again.plan.action == Action::open && again.plan.tail == plan.tail);
    require(again.seen == opened.seen);
  }
  if (!in_pieces) return;
  Pieces pieces(file);
  const Opened same = open(pieces, mark, options);
  require(same.plan.action == plan.action && same.plan.tail == plan.tail && same.seen == opened.seen);
}

void check_salvage(BytesView in, store::Layout layout) {
  std::uint64_t above = in.size();
  store::MemorySource source(in);
  const auto report =
      store::salvage(source, {.layout = layout}, [&](std::span<const store::Record> found) -> Result<void> {
        for (const store::Record& record : found) {
          require(record.start < record.offset && record.tail() <= above && record.trailer.prev <= record.start);
          const BytesView payload = in.subspan(static_cast<std::size_t>(record.start),
                                               static_cast<std::size_t>(record.offset - record.start));
          require(crc32(payload) == record.trailer.checksum);
          above = record.start;
        }
        return {};
      });
  require(report.ok());
  require(store::verify(source, in.size(), store::Layout::mixed).ok());
}

// Makes stores common: each instruction appends a record, or bytes, or changes some.
Bytes build(BytesView in) {
  Bytes file;
  while (in.size() >= 3 && file.size() < kSmallFile) {
    const std::uint8_t what = in[0] % 8;
    const std::size_t n = in[1];
    const std::uint8_t value = in[2];
    in = in.subspan(3);
    if (what < 4) {
      const std::uint64_t tail = file.size();
      if (what != 3) file.resize(store::align_up(tail, what == 2 ? 16 : 64));
      const std::size_t begin = file.size();
      file.resize(begin + (what == 3 ? 1 : n + 1), what == 3 ? std::uint8_t{0} : value);
      store::TrailerBytes trailer;
      store::write_trailer(trailer.data(), {value, tail, crc32(BytesView(file).subspan(begin))});
      file.insert(file.end(), trailer.begin(), trailer.end());
    } else if (what == 4) {
      file.insert(file.end(), n, value);
    } else if (what == 5 && !file.empty()) {
      file[(n * 256 + value) % file.size()] ^= static_cast<std::uint8_t>(1U << (value % 8));
    } else if (what == 6 && file.size() >= 12) {
      store_le(file.data() + file.size() - 12, static_cast<std::uint64_t>(n * 256 + value));
    } else if (what == 7) {
      file.resize(file.size() - std::min(file.size(), n));
    }
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3 || size > kMaxInput) return -1;
  const std::uint8_t how = data[0];
  const std::uint64_t place = data[1] | std::uint64_t{data[2]} << 8;
  BytesView in(data + 3, size - 3);
  Bytes built;
  if ((how & 1) != 0) in = built = build(in);

  std::optional<store::SyncMark> mark;
  if ((how & 2) != 0) {
    mark.emplace();
    // A tail that is one, if there is a chain: what an engine would have written down.
    Offsets chain;
    store::MemorySource source(in);
    require(store::walk(source, in.size(), store::Layout::aligned64, chain).ok());
    mark->tail = chain.seen.empty() ? place : chain.seen[place % chain.seen.size()] + store::kTrailerBytes;
    if ((how & 4) != 0) mark->tail = 0;
    if (mark->tail >= store::kMinTail && mark->tail <= in.size()) {
      mark->trailer = store::read_trailer(in.data() + mark->tail - store::kTrailerBytes);
    }
    store::SyncMark read;
    if (store::decode_mark(store::encode_mark(*mark), read)) {
      require(read == *mark);
    } else {
      mark.reset();
    }
  }
  // One way to open it for each input: many small runs find more than few large ones.
  const bool in_pieces = (how & 32) != 0;
  switch (how >> 3 & 3) {
    case 0: check(in, mark, {}, in_pieces); break;
    case 1: check(in, mark, {.check = store::Check::all}, in_pieces); break;
    case 2: check(in, mark, {.permit_loss = true}, in_pieces); break;
    default: check(in, mark, {.rule = store::Rule::original}, in_pieces); break;
  }
  if ((how & 64) != 0) {
    check_salvage(in, store::Layout::aligned64);
    check_salvage(in, store::Layout::mixed);
  }
  store::SyncMark decoded;
  (void)store::decode_mark(in, decoded);
  return 0;
}
