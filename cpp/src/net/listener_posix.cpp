// Listening at a path.
#ifndef _WIN32

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "net/listener.hpp"
#include "net/socket_os.hpp"

namespace simdrive::net {

namespace {

Error cannot_listen(const std::string& path, const std::string& why, int code = 0) {
  Error e{Errc::bind_failed, "cannot listen at the path " + path + ": " + why};
  e.system_code = code;
  return e;
}

/// One process at a time looks at what is at a path of this folder, and replaces it: else two that start in one moment
/// could each take the other's new socket for an old one. Ends with the process, leaves nothing behind.
class FolderLock {
 public:
  explicit FolderLock(const std::string& path) noexcept {
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    fd_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // A folder that cannot be read cannot be locked; it goes without.
    taken_ = fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) (void)::close(fd_);
  }
  [[nodiscard]] bool taken() const noexcept { return taken_; }

 private:
  int fd_ = -1;
  bool taken_ = false;
};

/// Whether somebody would answer there. What cannot be asked is taken for alive.
bool alive(const sockaddr_un& address) noexcept {
  const Socket s(::socket(AF_UNIX, SOCK_STREAM, 0));
  if (!s.open() || !prepare_socket(s.fd())) return true;
  return ::connect(s.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno != ECONNREFUSED;
}

/// Makes room for a socket at the path, or says why there is none.
Result<void> replace_old(const std::string& path, const sockaddr_un& address) {
  struct stat there{};
  if (::lstat(path.c_str(), &there) != 0) {
    if (errno == ENOENT) return {};
    return cannot_listen(path, error_text(errno), errno);
  }
  if (!S_ISSOCK(there.st_mode)) return cannot_listen(path, "something that is no socket is there", EEXIST);
  if (alive(address)) return cannot_listen(path, "another program listens there", EADDRINUSE);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return cannot_listen(path, "the socket of a program that has ended cannot be removed: " + error_text(errno), errno);
  }
  return {};
}

}  // namespace

Result<Listener> Listener::unix_path(const std::string& path) {
  sockaddr_un address{};
  if (!unix_address(path, address)) {
    return cannot_listen(path, "a path of 1 to " + std::to_string(max_unix_path()) + " bytes is needed", ENAMETOOLONG);
  }
  Listener l;
  l.socket_ = Socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  if (!l.socket_.open() || !prepare_socket(l.socket_.fd())) return cannot_listen(path, error_text(errno), errno);
  const FolderLock lock(path);
  if (lock.taken()) return cannot_listen(path, "another program is starting in this folder; try again", EAGAIN);
  if (auto r = replace_old(path, address); !r) return std::move(r).error();
  // Safe without umask(), which all threads of a process share: Linux gives a socket's mode to the file, and elsewhere
  // nobody can connect before listen(), which comes after chmod().
  (void)::fchmod(l.socket_.fd(), S_IRUSR | S_IWUSR);
  if (::bind(l.socket_.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return cannot_listen(path, error_text(errno), errno);
  }
  struct stat made{};
  bool ok = ::lstat(path.c_str(), &made) == 0 && S_ISSOCK(made.st_mode);
  if (ok) {
    l.device_ = static_cast<std::uint64_t>(made.st_dev);
    l.inode_ = static_cast<std::uint64_t>(made.st_ino);
    l.process_ = this_process();
    l.path_ = true;
    l.address_ = path;
    ok = ((made.st_mode & 07777) == (S_IRUSR | S_IWUSR) || ::chmod(path.c_str(), S_IRUSR | S_IWUSR) == 0) &&
         ::listen(l.socket_.fd(), kBacklog) == 0;
  }
  if (!ok) return cannot_listen(path, error_text(errno), errno);
  return l;
}

bool Listener::is_owner() const noexcept { return process_ == this_process(); }

// A path that is somebody else's by now stays, and so does the parent's after a fork(). While the socket is open nobody
// takes it for one that was left behind: it goes last, else what is removed could be the next server's.
// A child that has copies of the descriptors keeps the socket open: where the system can, it is made to listen no more.
void Listener::close() noexcept {
  if (!socket_.open()) return;
  const std::uint64_t inode = std::exchange(inode_, 0);
  struct stat there{};
  if (inode != 0 && is_owner() && ::lstat(address_.c_str(), &there) == 0 &&
      static_cast<std::uint64_t>(there.st_dev) == device_ && static_cast<std::uint64_t>(there.st_ino) == inode) {
    (void)::unlink(address_.c_str());
  }
  if (is_owner()) socket_.shutdown();
  socket_.close();
}

}  // namespace simdrive::net

#endif
