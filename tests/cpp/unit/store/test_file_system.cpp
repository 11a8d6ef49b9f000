// The system's own files: what folders, links, pipes, limits, full disks and other processes do to them.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "store/file.hpp"
#include "store/file_bytes.hpp"
#include "support/temporary_folder.hpp"

#ifndef _WIN32
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

namespace simdrive::store {
namespace {

using testing_store::kReadOnly;
using testing_store::kReadWrite;
using testing_store::opened;
using testing_store::read;
using testing_store::TemporaryFolder;
using testing_store::write;

constexpr OpenOptions kExclusive{.write = true, .create = Create::exclusive};

FileFault fault_of_open(const std::string& path, const OpenOptions& options) {
  const auto file = system_files().open(path, options);
  EXPECT_FALSE(file.ok());
  return file.ok() ? FileFault::other : fault_of(file.error());
}

TEST(SystemFilesTest, FoldersAreNoFiles) {
  const TemporaryFolder folder;
  const std::string path = folder.path().string();
  EXPECT_EQ(fault_of_open(path, kReadOnly), FileFault::is_directory);
  EXPECT_EQ(fault_of_open(path, kReadWrite), FileFault::is_directory);
  EXPECT_EQ(fault_of_open(path, kExclusive), FileFault::exists);
  EXPECT_EQ(system_files().stat(path).value().kind, FileKind::directory);
}

TEST(SystemFilesTest, MissingFoldersAreNotMade) {
  const TemporaryFolder folder;
  const std::string path = folder.file("none") + "/s.bin";
  for (const OpenOptions& options : {kReadOnly, kReadWrite, kExclusive}) {
    EXPECT_EQ(fault_of_open(path, options), FileFault::not_found);
  }
  EXPECT_FALSE(std::filesystem::exists(folder.file("none")));
  EXPECT_FALSE(exists(system_files(), path).value());
}

TEST(SystemFilesTest, PathsThatAreNone) {
  EXPECT_EQ(fault_of_open("", kReadWrite), FileFault::not_found);
  const std::string nul("a\0b", 3);
  EXPECT_EQ(fault_of_open(nul, kReadWrite), FileFault::other);
  EXPECT_FALSE(system_files().stat(nul).ok());
  EXPECT_FALSE(system_files().remove(nul).ok());
  EXPECT_FALSE(system_files().rename_over(nul, "b").ok());
  EXPECT_FALSE(system_files().rename_over("b", nul).ok());
  EXPECT_FALSE(system_files().sync_directory(nul).ok());
}

TEST(SystemFilesTest, PathsOfManyLettersAndScripts) {
  const TemporaryFolder folder;
  std::filesystem::path deep = folder.path() / std::filesystem::path(u8"\u00e4\u65e5\u672c");
  for (int i = 0; i < 4; ++i) deep /= std::string(100, static_cast<char>('a' + i));
#ifdef _WIN32
  const std::wstring plain = deep.wstring();  // 8-bit functions know neither the length nor the letters
  std::error_code refused;
  std::filesystem::create_directories(L"\\\\?\\" + plain, refused);
  if (refused) GTEST_SKIP() << "no long paths here: " << refused.message();
#else
  std::filesystem::create_directories(deep);
#endif
  const std::u8string utf8 = (deep / "s.bin").u8string();
  const std::string path(utf8.begin(), utf8.end());
  ASSERT_EQ(write(*opened(system_files(), path, kReadWrite), 0, {"abc"}).bytes, 3U);
  EXPECT_EQ(system_files().stat(path).value().size, 3U);
  ASSERT_TRUE(system_files().rename_over(path, path + "2").ok());
  ASSERT_TRUE(system_files().sync_directory(path + "2").ok());
  EXPECT_EQ(read(*opened(system_files(), path + "2", kReadOnly), 0, 9), "abc");
  ASSERT_TRUE(system_files().remove(path + "2").ok());
}

#ifndef _WIN32

TEST(SystemFilesTest, NewFilesAreTheirOwnersAlone) {
  const TemporaryFolder folder;
  const mode_t mask = ::umask(0);
  const auto file = opened(system_files(), folder.file("s.bin"), kReadWrite);
  ::umask(mask);
  struct stat s;
  ASSERT_EQ(::stat(file->path().c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 07777, 0600U);
}

#ifdef __linux__
TEST(SystemFilesTest, CuttingGivesBackTheRoomThatWasExpected) {
  const TemporaryFolder folder;
  const auto file = opened(system_files(), folder.file("s.bin"), kReadWrite);
  ASSERT_EQ(write(*file, 0, {"0123"}).bytes, 4U);
  file->expect(4, std::uint64_t{8} << 20);
  ASSERT_TRUE(file->truncate(4).ok());
  struct stat s;
  ASSERT_EQ(::stat(file->path().c_str(), &s), 0);
  EXPECT_EQ(s.st_size, 4);
  EXPECT_LT(s.st_blocks, std::int64_t{1} << 20 >> 9);
}
#endif

TEST(SystemFilesTest, SideFilesFollowNoLinks) {
  const TemporaryFolder folder;
  const std::string target = folder.file("target");
  const std::string link = folder.file("link");
  std::filesystem::create_symlink(target, link);
  OpenOptions beside = kReadWrite;
  beside.follow_links = false;
  EXPECT_EQ(fault_of_open(link, kExclusive), FileFault::exists);
  EXPECT_EQ(fault_of_open(link, beside), FileFault::not_a_file);
  EXPECT_FALSE(std::filesystem::exists(target));
  EXPECT_TRUE(opened(system_files(), link, kReadWrite)->created());  // stores may be links
  EXPECT_TRUE(std::filesystem::exists(target));
  EXPECT_EQ(fault_of_open(link, beside), FileFault::not_a_file);
  EXPECT_FALSE(opened(system_files(), link, kReadWrite)->created());
}

TEST(SystemFilesTest, PipesAndDevicesAreRefusedWithoutWaiting) {
  const TemporaryFolder folder;
  const std::string pipe = folder.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(fault_of_open(pipe, kReadOnly), FileFault::not_a_file);
  EXPECT_EQ(fault_of_open(pipe, kReadWrite), FileFault::not_a_file);
  EXPECT_EQ(fault_of_open("/dev/null", kReadWrite), FileFault::not_a_file);
  EXPECT_EQ(system_files().stat("/dev/null").value().kind, FileKind::other);
}

TEST(SystemFilesTest, NotInheritedByPrograms) {
  const TemporaryFolder folder;
  const int next = ::dup(0);  // the number that the file will have
  ASSERT_GE(next, 0);
  ::close(next);
  const auto file = opened(system_files(), folder.file("s.bin"), kReadWrite);
  EXPECT_NE(::fcntl(next, F_GETFD) & FD_CLOEXEC, 0);
}

/// What `act` gives in a process of its own; -1 if that died.
template <class Act>
int in_child(Act act) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(20);
    ::_exit(act());
  }
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST(SystemFilesTest, PermissionsAreToldApart) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s.bin");
  opened(system_files(), path, kReadWrite).reset();
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  EXPECT_EQ(in_child([&] {
              if (constexpr uid_t kNobody = 65534; ::geteuid() == 0 && ::seteuid(kNobody) != 0) return 2;
              const auto file = system_files().open(path, kReadOnly);
              return !file.ok() && fault_of(file.error()) == FileFault::permission ? 0 : 1;
            }),
            0);
}

TEST(SystemFilesTest, TheLockHoldsAgainstOtherProcesses) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s.bin");
  const auto try_lock = [&] {
    const auto file = system_files().open(path, kReadWrite);
    if (!file.ok()) return 2;
    const Result<void> locked = (*file)->try_lock_exclusive();
    if (locked.ok()) return 0;
    return fault_of(locked.error()) == FileFault::locked ? 1 : 3;
  };
  auto file = opened(system_files(), path, kReadWrite);
  EXPECT_EQ(in_child(try_lock), 0);
  ASSERT_TRUE(file->try_lock_exclusive().ok());  // the child is gone, and its lock with it
  EXPECT_EQ(in_child(try_lock), 1);
  file->unlock();
  EXPECT_EQ(in_child(try_lock), 0);
  ASSERT_TRUE(file->try_lock_exclusive().ok());
  file.reset();
  EXPECT_EQ(in_child(try_lock), 0);
}

TEST(SystemFilesTest, AReaderSeesThroughItsMappingWhatAnotherProcessAppends) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s.bin");
  const auto file = opened(system_files(), path, kReadWrite);
  ASSERT_EQ(write(*file, 0, {"start"}).bytes, 5U);
  const auto reader = opened(system_files(), path, kReadOnly);
  const Mapping mapping = reader->map(5).value();
  const std::string more(100'000, 'm');
  EXPECT_EQ(in_child([&] {
              const auto other = system_files().open(path, kReadWrite);
              return other.ok() && write(**other, 5, {more}).bytes == more.size() ? 0 : 1;
            }),
            0);
  const std::uint64_t size = reader->size().value();
  ASSERT_EQ(size, 5 + more.size());
  ASSERT_TRUE(reader->covers(mapping, size));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapping.data()) + 5, more.size()), more);
}

// Small files get room to grow, and so do large ones: a mapping is not replaced at each append.
TEST(SystemFilesTest, OneMappingServesManyAppends) {
  const TemporaryFolder folder;
  const auto file = opened(system_files(), folder.file("s.bin"), kReadWrite);
  ASSERT_EQ(write(*file, 0, {"x"}).bytes, 1U);
  EXPECT_GE(file->map(1).value().capacity(), std::size_t{1} << 20);
  const std::uint64_t far = std::uint64_t{3} << 30;
  ASSERT_EQ(write(*file, far, {"x"}).bytes, 1U);  // sparse
  if (sizeof(void*) == 8) {
    EXPECT_GE(file->map(far + 1).value().capacity(), far + (std::uint64_t{64} << 20));
  }
}

TEST(SystemFilesTest, WithoutAddressSpaceAMappingIsAnError) {
  const TemporaryFolder folder;
  const auto file = opened(system_files(), folder.file("s.bin"), kReadWrite);
  if (!write(*file, std::uint64_t{1} << 45, {"x"}).status.ok()) {
    ASSERT_EQ(write(*file, std::uint64_t{1} << 40, {"x"}).bytes, 1U);
  }
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  rlimit little = before;
  little.rlim_cur = rlim_t{1} << 39;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  little.rlim_cur = before.rlim_cur;  // their shadow is larger; a file of 32 TiB has no place beside it
#endif
  if (::setrlimit(RLIMIT_AS, &little) != 0) GTEST_SKIP() << "the limit cannot be set";
  const Result<Mapping> mapped = file->map(file->size().value());
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  if (little.rlim_cur == before.rlim_cur && mapped.ok()) GTEST_SKIP() << "there is address space for it";
  ASSERT_FALSE(mapped.ok());
  EXPECT_EQ(fault_of(mapped.error()), FileFault::no_memory);
}

TEST(SystemFilesTest, OffsetsThatNoFileHas) {
  const TemporaryFolder folder;
  const auto file = opened(system_files(), folder.file("s.bin"), kReadWrite);
  for (const std::uint64_t offset : {~std::uint64_t{0}, std::uint64_t{1} << 63, (std::uint64_t{1} << 63) - 1}) {
    const Written w = write(*file, offset, {"abc"});
    EXPECT_FALSE(w.status.ok());
    EXPECT_EQ(w.bytes, 0U);
  }
  EXPECT_EQ(file->size().value(), 0U);
}

/// Writes until there is no room; gives what is in the file then.
std::string fill(File& file, const std::string& piece, std::size_t writes_max, FileFault& fault) {
  std::string expected;
  for (std::size_t i = 0; i < writes_max; ++i) {
    const Written w = write(file, expected.size(), {piece, piece});
    expected += (piece + piece).substr(0, static_cast<std::size_t>(w.bytes));
    if (!w.status.ok()) {
      fault = fault_of(w.status.error());
      EXPECT_EQ(w.status.error().code, Errc::storage_full) << w.status.error().detail;
      EXPECT_EQ(w.status.error().offset, expected.size());
      return expected;
    }
  }
  ADD_FAILURE() << "there was room for everything";
  return expected;
}

TEST(SystemFilesTest, ALimitOnFileSizesTellsHowFarAWriteGot) {
  const TemporaryFolder folder;
  const auto file = opened(system_files(), folder.file("s.bin"), kReadWrite);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit little = before;
  little.rlim_cur = 100'000;
  auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  FileFault fault = FileFault::other;
  const std::string piece(7001, 'q');
  const std::string expected = fill(*file, piece, 100, fault);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(fault, FileFault::no_room);
  EXPECT_EQ(expected.size(), 100'000U);
  EXPECT_EQ(read(*file, 0, 200'000), expected);
  ASSERT_TRUE(file->truncate(14002).ok());
  EXPECT_EQ(write(*file, 14002, {piece}).bytes, piece.size());
}

#endif

#ifdef __linux__

TEST(SystemFilesTest, AFullDiskTellsHowFarAWriteGot) {
  const TemporaryFolder folder;
  std::string skipped;
  // In a mount namespace of a thread's own: the disk is gone with the thread.
  std::thread([&] {
    const std::string disk = folder.path().string();
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", disk.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m") != 0) {
      skipped = std::string("mounting is not permitted: ") + std::to_string(errno);
      return;
    }
    const auto file = opened(system_files(), folder.file("s.bin"), kReadWrite);
    FileFault fault = FileFault::other;
    const std::string piece(30'001, 'q');
    const std::string expected = fill(*file, piece, 100, fault);
    EXPECT_EQ(fault, FileFault::no_room);
    EXPECT_GT(expected.size(), 900'000U);
    EXPECT_EQ(read(*file, 0, 2'000'000), expected);
    EXPECT_EQ(file->size().value(), expected.size());
    // Room again: it goes on from where it was taken back to.
    ASSERT_TRUE(file->truncate(60'002).ok());
    EXPECT_EQ(write(*file, 60'002, {piece}).bytes, piece.size());
    EXPECT_EQ(read(*file, 0, 2'000'000), expected.substr(0, 60'002) + piece);
  }).join();
  if (!skipped.empty()) GTEST_SKIP() << skipped;
}

#endif

}  // namespace
}  // namespace simdrive::store
