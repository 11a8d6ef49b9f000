#include "support/crash_images.hpp"

#include <algorithm>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace simdrive::testing_store {

namespace {

using Kind = Event::Kind;
using Folder = std::map<std::string, std::uint64_t>;  // path to file
using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t n) { return static_cast<std::size_t>(random() % n); }

/// 0 .. n-1, or `max` of them: the first, the last, and drawn ones.
std::vector<std::size_t> some_of(std::size_t n, std::size_t max, Random& random) {
  std::vector<std::size_t> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = i;
  if (n <= max || max < 2) {
    all.resize(std::min(n, max));
    return all;
  }
  for (std::size_t i = 1; i + 1 < max; ++i) std::swap(all[i], all[i + below(random, n - 1 - i)]);
  all[max - 1] = n - 1;
  all.resize(max);
  std::sort(all.begin(), all.end());
  return all;
}

void apply(Bytes& content, const Event& event, std::size_t bytes) {
  if (event.kind == Kind::truncate) {
    content.resize(event.offset);
    return;
  }
  if (content.size() < event.offset + bytes) content.resize(event.offset + bytes);
  std::copy_n(event.bytes.begin(), bytes, content.begin() + static_cast<std::ptrdiff_t>(event.offset));
}

void apply(Folder& folder, const Event& event) {
  if (event.kind == Kind::create) {
    folder.emplace(event.path, event.file);
    return;
  }
  const auto found = folder.find(event.path);
  if (found == folder.end()) return;  // its creation was lost
  const std::uint64_t file = found->second;
  folder.erase(found);
  if (event.kind == Kind::rename) folder[event.to] = file;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

/// What a file was since its last sync, the synced content first.
struct FileState {
  std::vector<Bytes> versions{1};
  /// For each version the size that it was cut to, if it came from a truncation.
  std::vector<std::optional<std::uint64_t>> cut_to{1};

  [[nodiscard]] const Bytes& now() const { return versions.back(); }
  [[nodiscard]] std::size_t last() const { return versions.size() - 1; }

  void change(const Event& event) {
    Bytes next = now();
    apply(next, event, event.bytes.size());
    versions.push_back(std::move(next));
    cut_to.push_back(event.kind == Kind::truncate ? std::optional(event.offset) : std::nullopt);
  }
  void sync() {
    versions.erase(versions.begin(), versions.end() - 1);
    cut_to.assign(1, std::nullopt);
  }
};

struct DiskState {
  std::map<std::uint64_t, FileState> files;
  Folder folder;
  Folder synced_folder;
  std::vector<Event> folder_changes;  // since their folder was synced

  void change(const Event& event) {
    switch (event.kind) {
      case Kind::write:
      case Kind::truncate: files[event.file].change(event); break;
      case Kind::sync: files[event.file].sync(); break;
      case Kind::create: files[event.file]; [[fallthrough]];
      case Kind::rename:
      case Kind::remove:
        apply(folder, event);
        folder_changes.push_back(event);
        break;
      case Kind::sync_directory: {
        const std::string synced = folder_of(event.path);
        std::erase_if(folder_changes, [&](const Event& change) {
          if (folder_of(change.path) != synced) return false;
          apply(synced_folder, change);
          return true;
        });
        break;
      }
    }
  }
};

using Contents = std::map<std::uint64_t, Bytes>;

class Enumerator {
 public:
  Enumerator(const Recording& recording, const CrashOptions& options,
             const std::function<bool(const CrashImage&)>& check)
      : recording_(recording), options_(options), check_(check), random_(options.seed) {
    for (const auto& [path, content] : recording.start) {
      const std::uint64_t file = recording.start_files.at(path);
      state_.folder[path] = file;
      state_.files[file].versions[0] = content;
    }
    state_.synced_folder = state_.folder;
  }

  std::size_t run() {
    for (; going_ && events_ <= recording_.events.size(); ++events_) {
      if (events_ != 0) state_.change(recording_.events[events_ - 1]);
      seen_.clear();
      process_dies();
      seen_.clear();
      if (options_.power_loss) power_fails();
    }
    return count_;
  }

 private:
  [[nodiscard]] Contents contents_now() const {
    Contents all;
    for (const auto& [file, state] : state_.files) all[file] = state.now();
    return all;
  }

  void give(const Folder& folder, const Contents& contents, bool power_loss, const std::string& lost) {
    if (!going_) return;
    CrashImage image{.events = events_, .power_loss = power_loss};
    std::string key;
    for (const auto& [path, file] : folder) {
      const Bytes& content = contents.at(file);
      key += path + '\0' + std::to_string(content.size()) + '\0';
      key.append(content.begin(), content.end());
      image.files[path] = content;
    }
    if (!seen_.insert(std::hash<std::string_view>()(key)).second) return;
    image.what = events_ == 0 ? "at the start" : "after " + to_string(recording_.events[events_ - 1]);
    image.what += " (event " + std::to_string(events_) + ")";
    image.what += power_loss ? ", power lost: " : ", process died: ";
    image.what += lost;
    ++count_;
    going_ = check_(image);
  }

  void process_dies() {
    Contents contents = contents_now();
    give(state_.folder, contents, false, "all is there");
    if (events_ == recording_.events.size()) return;
    const Event& next = recording_.events[events_];
    if (next.kind != Kind::write) return;
    const Bytes& before = state_.files.at(next.file).now();
    for (const std::size_t cut : cut_points(next, options_)) {
      contents[next.file] = before;
      apply(contents[next.file], next, cut);
      give(state_.folder, contents, false, to_string(next) + " cut after " + std::to_string(cut) + " bytes");
    }
  }

  void power_fails() {
    const Contents current = contents_now();
    Contents synced;
    for (const auto& [file, state] : state_.files) synced[file] = state.versions[0];
    lose_folder_changes(current, synced);
    for (const auto& [file, state] : state_.files) {
      if (state.last() != 0) lose_parts_of(file, state, current);
    }
    // All files at once.
    for (unsigned i = 0; i < options_.random_images; ++i) {
      Contents drawn;
      for (const auto& [file, state] : state_.files) drawn[file] = draw(state);
      Folder folder = state_.synced_folder;
      std::string lost = "random pages";
      for (const Event& change : state_.folder_changes) {
        if (below(random_, 4) != 0) {
          apply(folder, change);
        } else {
          lost += ", lost: " + to_string(change);
        }
      }
      give(folder, drawn, true, lost + " (" + std::to_string(i) + ")");
    }
  }

  void lose_folder_changes(const Contents& current, const Contents& synced) {
    const std::vector<Event>& changes = state_.folder_changes;
    const auto with = [&](const std::function<bool(std::size_t)>& kept, const std::string& lost) {
      Folder folder = state_.synced_folder;
      for (std::size_t i = 0; i < changes.size(); ++i) {
        if (kept(i)) apply(folder, changes[i]);
      }
      give(folder, synced, true, lost + ", and all unsynced bytes");
      give(folder, current, true, lost);
    };
    with([](std::size_t) { return true; }, "nothing of the folder");
    with([](std::size_t) { return false; }, "all changes of the folder");
    constexpr std::size_t kAllSubsets = 4;
    if (changes.size() <= kAllSubsets) {
      for (std::size_t subset = 1; subset + 1 < std::size_t{1} << changes.size(); ++subset) {
        with([&](std::size_t i) { return (subset >> i & 1) != 0; }, "folder changes but set " + std::to_string(subset));
      }
      return;
    }
    for (std::size_t n = 0; n < changes.size(); ++n) {
      with([&](std::size_t i) { return i <= n; }, "folder changes behind " + to_string(changes[n]));
      with([&](std::size_t i) { return i != n; }, to_string(changes[n]));
      with([&](std::size_t i) { return i == n; }, "folder changes but " + to_string(changes[n]));
    }
  }

  void lose_parts_of(std::uint64_t file, const FileState& state, const Contents& current) {
    const std::string name = "file " + std::to_string(file);
    Contents contents = current;
    const auto with = [&](std::size_t length_of, const std::function<std::size_t(std::size_t)>& page_of,
                          const std::string& lost) {
      contents[file] = compose(state, length_of, page_of);
      give(state_.folder, contents, true, name + ": " + lost);
    };
    const std::size_t last = state.last();
    const std::size_t page_count = pages(state, last);
    for (const std::size_t moment : some_of(last + 1, options_.moments_max, random_)) {
      const std::string at = std::to_string(last - moment) + " unsynced calls";
      with(moment, [&](std::size_t) { return moment; }, at);
      with(last, [&](std::size_t) { return moment; }, at + ", but for the length");
      with(moment, [&](std::size_t) { return last; }, at + ", but for the bytes before its length");
    }
    std::vector<std::size_t> dirty;
    for (std::size_t page = 0; page < page_count; ++page) {
      if (differs(state.now(), state.versions[0], page)) dirty.push_back(page);
    }
    for (const std::size_t i : some_of(dirty.size(), options_.pages_max, random_)) {
      const std::size_t page = dirty[i];
      with(last, [&](std::size_t p) { return p == page ? 0 : last; }, "page " + std::to_string(page));
      with(last, [&](std::size_t p) { return p == page ? last : 0; }, "all pages but " + std::to_string(page));
    }
  }

  [[nodiscard]] std::size_t pages(const FileState& state, std::size_t version) const {
    return static_cast<std::size_t>((state.versions[version].size() + options_.page - 1) / options_.page);
  }

  [[nodiscard]] bool differs(const Bytes& a, const Bytes& b, std::size_t page) const {
    const std::size_t start = page * static_cast<std::size_t>(options_.page);
    const std::size_t end_a = std::min(a.size(), start + static_cast<std::size_t>(options_.page));
    const std::size_t end_b = std::min(b.size(), start + static_cast<std::size_t>(options_.page));
    if (end_a != end_b) return true;
    return start < end_a &&
           !std::equal(a.begin() + static_cast<std::ptrdiff_t>(start), a.begin() + static_cast<std::ptrdiff_t>(end_a),
                       b.begin() + static_cast<std::ptrdiff_t>(start));
  }

  /// The file with the length of one version, and each page from the version that `page_of` says.
  [[nodiscard]] Bytes compose(const FileState& state, std::size_t length_of,
                              const std::function<std::size_t(std::size_t)>& page_of) const {
    Bytes content(state.versions[length_of].size());
    const auto size = static_cast<std::size_t>(options_.page);
    for (std::size_t page = 0; page * size < content.size(); ++page) {
      const std::size_t version = page_of(page);
      const Bytes& from = state.versions[version];
      std::size_t end = std::min({content.size(), from.size(), (page + 1) * size});
      for (std::size_t v = version + 1; v <= length_of && !options_.stale_after_truncate; ++v) {
        if (state.cut_to[v]) end = std::min(end, static_cast<std::size_t>(*state.cut_to[v]));
      }
      if (page * size >= end) continue;
      std::copy(from.begin() + static_cast<std::ptrdiff_t>(page * size),
                from.begin() + static_cast<std::ptrdiff_t>(end),
                content.begin() + static_cast<std::ptrdiff_t>(page * size));
    }
    return content;
  }

  [[nodiscard]] Bytes draw(const FileState& state) {
    const std::size_t n = state.versions.size();
    // The length mostly runs ahead of the bytes, or the image would be but a shorter one.
    const std::size_t length_of = below(random_, 2) == 0 ? n - 1 : below(random_, n);
    const std::uint64_t salt = random_();
    return compose(state, length_of, [&](std::size_t page) {
      Random own(salt + page);
      return below(own, n);
    });
  }

  const Recording& recording_;
  const CrashOptions& options_;
  const std::function<bool(const CrashImage&)>& check_;
  Random random_;
  DiskState state_;
  std::size_t events_ = 0;
  std::set<std::size_t> seen_;
  std::size_t count_ = 0;
  bool going_ = true;
};

}  // namespace

std::vector<std::size_t> cut_points(const Event& event, const CrashOptions& options) {
  const std::size_t n = event.bytes.size();
  std::set<std::size_t> cuts;
  const auto add = [&](std::size_t cut) {
    if (cut > 0 && cut < n) cuts.insert(cut);
  };
  add(1);
  add(n - 1);
  for (std::size_t i = 8; i <= 64; i += 8) add(i);
  for (std::size_t i = 4; i <= 20 && i < n; i += 4) add(n - i);
  std::size_t start = 0;
  for (const std::size_t end : event.piece_ends) {
    add(end - 1);
    add(end);
    add(end + 1);
    if (end - start <= 64) add(start + (end - start) / 2);
    start = end;
  }
  Random random(options.seed + event.offset);
  for (const std::uint64_t unit : {std::uint64_t{512}, std::uint64_t{4096}}) {
    const std::uint64_t first = event.offset / unit + 1;
    const std::uint64_t behind = (event.offset + n + unit - 1) / unit;
    if (behind <= first) continue;
    for (const std::size_t i : some_of(static_cast<std::size_t>(behind - first), options.sector_cuts_max, random)) {
      add(static_cast<std::size_t>((first + i) * unit - event.offset));
    }
  }
  return {cuts.begin(), cuts.end()};
}

std::size_t for_each_crash_image(const Recording& recording, const CrashOptions& options,
                                 const std::function<bool(const CrashImage&)>& check) {
  return Enumerator(recording, options, check).run();
}

void load(store::MemoryFiles& files, const FileContents& contents) {
  for (const auto& [path, content] : contents) {
    if (!files.put(path, content).ok()) throw std::bad_alloc();
  }
}

}  // namespace simdrive::testing_store
