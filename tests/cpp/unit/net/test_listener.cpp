#include "net/listener.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "net/loopback.hpp"
#include "support/temporary_folder.hpp"
#ifndef _WIN32
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace simdrive::net {
namespace {

TimePoint soon() { return after(Clock::now(), 10); }

Accepted accepted_by(Listener& listener) {
  EXPECT_TRUE(wait(listener.fd(), false, nullptr, soon()).readable);
  auto got = listener.accept();
  EXPECT_TRUE(got.ok() && got.value());
  return std::move(*got.value());
}

void expect_speaks(Socket& one, Socket& other) {
  const std::uint8_t sent[] = {'h', 'i'};
  ASSERT_TRUE(testing_net::send_all(one, sent));
  ASSERT_TRUE(wait(other.fd(), false, nullptr, soon()).readable);
  char got[2];
  IoPiece into = io_piece(got, 2);
  ASSERT_EQ(other.receive({&into, 1}).bytes, 2U);
  EXPECT_EQ(std::string(got, 2), "hi");
  EXPECT_EQ(other.receive({&into, 1}).status, IoStatus::would_block);
}

TEST(ListenerTest, ListensAtAFreePort) {
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    auto made = Listener::tcp(host, 0);
    ASSERT_TRUE(made.ok());
    Listener& listener = made.value();
    EXPECT_EQ(listener.address(), "127.0.0.1") << "IPv4 first";
    EXPECT_NE(listener.port(), 0);
    const auto nobody = listener.accept();
    ASSERT_TRUE(nobody.ok());
    EXPECT_FALSE(nobody.value());
    auto client = connect_tcp("127.0.0.1", listener.port(), soon(), {});
    ASSERT_TRUE(client.ok());
    Accepted a = accepted_by(listener);
    EXPECT_TRUE(a.peer.starts_with("127.0.0.1:")) << a.peer;
    expect_speaks(client.value(), a.socket);
    expect_speaks(a.socket, client.value());
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    ASSERT_EQ(::getsockopt(a.socket.fd(), IPPROTO_TCP, TCP_NODELAY, reinterpret_cast<char*>(&no_delay), &size), 0);
    EXPECT_NE(no_delay, 0);
#ifndef _WIN32
    EXPECT_NE(::fcntl(a.socket.fd(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(listener.fd(), F_GETFD) & FD_CLOEXEC, 0);
#endif
  }
}

TEST(ListenerTest, ServesIPv6) {
  auto made = Listener::tcp("::1", 0);
  if (!made) GTEST_SKIP() << "this machine has no IPv6: " << made.error().detail;
  EXPECT_EQ(made.value().address(), "[::1]");
  auto client = connect_tcp("::1", made.value().port(), soon(), {});
  ASSERT_TRUE(client.ok());
  EXPECT_TRUE(accepted_by(made.value()).peer.starts_with("[::1]:"));
  auto all = Listener::tcp("::", 0);
  ASSERT_TRUE(all.ok());
  auto old = connect_tcp("127.0.0.1", all.value().port(), soon(), {});
  ASSERT_TRUE(old.ok());
  EXPECT_TRUE(accepted_by(all.value()).peer.starts_with("127.0.0.1:"));
}

TEST(ListenerTest, NamesWhatIsTaken) {
  auto first = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  const std::uint16_t port = first.value().port();
  const auto second = Listener::tcp("127.0.0.1", port);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::bind_failed);
  EXPECT_NE(second.error().system_code, 0);
  EXPECT_NE(second.error().detail.find("127.0.0.1 port " + std::to_string(port) + ": "), std::string::npos);
  EXPECT_FALSE(Listener::out_of_descriptors(second.error()));
  first.value().close();
  EXPECT_TRUE(Listener::tcp("127.0.0.1", port).ok()) << "free again";
}

TEST(ListenerTest, ListensAgainWhereConnectionsLinger) {
  auto first = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  const std::uint16_t port = first.value().port();
  auto client = connect_tcp("127.0.0.1", port, soon(), {});
  ASSERT_TRUE(client.ok());
  Accepted a = accepted_by(first.value());
  a.socket.close();  // the side that ends first waits for minutes
  client.value().close();
  first.value().close();
  EXPECT_TRUE(Listener::tcp("127.0.0.1", port).ok());
}

TEST(ListenerTest, NamesBadHosts) {
  for (const std::string host : {"192.0.2.1", "no.such.host.invalid"}) {
    const auto r = Listener::tcp(host, 0);
    ASSERT_FALSE(r.ok());
    EXPECT_EQ(r.error().code, Errc::bind_failed);
    EXPECT_NE(r.error().detail.find(host + " port 0: "), std::string::npos) << r.error().detail;
  }
}

TEST(ListenerTest, MovesWithItsSocket) {
  auto made = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(made.ok());
  const std::uint16_t port = made.value().port();
  Listener moved = std::move(made).value();
  auto other = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(other.ok());
  other.value() = std::move(moved);
  EXPECT_EQ(other.value().port(), port);
  auto client = connect_tcp("127.0.0.1", port, soon(), {});
  ASSERT_TRUE(client.ok());
  accepted_by(other.value());
}

#ifdef _WIN32

TEST(ListenerTest, ThereAreNoUnixSockets) {
  EXPECT_EQ(Listener::unix_path("x").error().code, Errc::bind_failed);
  EXPECT_EQ(connect_unix("x", soon(), {}).error().code, Errc::configuration);
}

#else

TEST(ListenerTest, DescriptorsThatRunOutAreTold) {
  auto made = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(made.ok());
  auto client = connect_tcp("127.0.0.1", made.value().port(), soon(), {});
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(wait(made.value().fd(), false, nullptr, soon()).readable);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const rlimit none{0, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto refused = made.value().accept();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  ASSERT_FALSE(refused.ok());
  EXPECT_TRUE(Listener::out_of_descriptors(refused.error())) << refused.error().detail;
  const auto later = made.value().accept();
  EXPECT_TRUE(later.ok() && later.value());
}

class UnixListenerTest : public testing::Test {
 protected:
  testing_store::TemporaryFolder folder;
  std::string path = folder.file("s.sock");

  [[nodiscard]] bool there() const { return ::access(path.c_str(), F_OK) == 0; }
};

TEST_F(UnixListenerTest, ListensForItsOwnerAlone) {
  const mode_t old = ::umask(0);
  auto made = Listener::unix_path(path);
  ::umask(old);
  ASSERT_TRUE(made.ok()) << made.error().detail;
  struct stat is{};
  ASSERT_EQ(::lstat(path.c_str(), &is), 0);
  EXPECT_TRUE(S_ISSOCK(is.st_mode));
  EXPECT_EQ(is.st_mode & 07777U, 0600U);
  EXPECT_EQ(made.value().address(), path);
  EXPECT_EQ(made.value().port(), 0);
  auto client = connect_unix(path, soon(), {});
  ASSERT_TRUE(client.ok());
  Accepted a = accepted_by(made.value());
  EXPECT_EQ(a.peer, "unix");
  expect_speaks(client.value(), a.socket);
  made.value().close();
  EXPECT_FALSE(there());
}

TEST_F(UnixListenerTest, ASocketThatSomebodyServesIsRefused) {
  auto first = Listener::unix_path(path);
  ASSERT_TRUE(first.ok());
  const auto second = Listener::unix_path(path);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::bind_failed);
  EXPECT_NE(second.error().detail.find(path), std::string::npos);
  EXPECT_NE(second.error().detail.find("another program"), std::string::npos);
  EXPECT_TRUE(connect_unix(path, soon(), {}).ok()) << "the first is as it was";
}

TEST_F(UnixListenerTest, ASocketThatWasLeftBehindIsReplaced) {
  {
    const Socket dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(there());
  auto made = Listener::unix_path(path);
  ASSERT_TRUE(made.ok()) << made.error().detail;
  EXPECT_TRUE(connect_unix(path, soon(), {}).ok());
}

TEST_F(UnixListenerTest, OtherFilesAreLeftAlone) {
  std::ofstream(path) << "precious";
  const auto r = Listener::unix_path(path);
  ASSERT_FALSE(r.ok());
  EXPECT_NE(r.error().detail.find("no socket"), std::string::npos);
  std::string content;
  std::ifstream(path) >> content;
  EXPECT_EQ(content, "precious");
  const std::string link = folder.file("link");
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  EXPECT_FALSE(Listener::unix_path(link).ok());
}

TEST_F(UnixListenerTest, RemovesOnlyItsOwn) {
  auto made = Listener::unix_path(path);
  ASSERT_TRUE(made.ok());
  ASSERT_EQ(::unlink(path.c_str()), 0);
  std::ofstream(path) << "another's";
  made.value().close();
  EXPECT_TRUE(there());
}

TEST_F(UnixListenerTest, LeavesThePathToItsSuccessor) {
  for (int i = 0; i < 100; ++i) {
    auto first = Listener::unix_path(path);
    ASSERT_TRUE(first.ok()) << first.error().detail;
    std::thread closer([&] { first.value().close(); });
    auto second = Listener::unix_path(path);
    const auto deadline = soon();
    while (!second && net::Clock::now() < deadline) second = Listener::unix_path(path);
    closer.join();
    ASSERT_TRUE(second.ok()) << second.error().detail;
    ASSERT_TRUE(there()) << "in round " << i;
  }
}

#ifdef __linux__
// The child has copies of the descriptors, and does nothing with them.
void with_a_child(const std::function<void()>& meanwhile) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    (void)::close(pipe[1]);
    char end = 0;
    (void)!::read(pipe[0], &end, 1);
    ::_exit(0);
  }
  (void)::close(pipe[0]);
  meanwhile();
  (void)::close(pipe[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
}

TEST(ListenerTest, AForkedChildDoesNotGoOnListening) {
  auto made = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(made.ok());
  const std::uint16_t port = made->port();
  with_a_child([&] {
    made->close();
    EXPECT_FALSE(connect_tcp("127.0.0.1", port, soon(), {}).ok());
    const auto again = Listener::tcp("127.0.0.1", port);
    EXPECT_TRUE(again.ok()) << again.error().detail;
  });
}

TEST_F(UnixListenerTest, AForkedChildDoesNotGoOnListening) {
  auto made = Listener::unix_path(path);
  ASSERT_TRUE(made.ok());
  const std::string other = folder.file("other");
  std::filesystem::create_hard_link(path, other);  // which close() does not know of
  with_a_child([&] {
    made->close();
    EXPECT_FALSE(connect_unix(other, soon(), {}).ok());
    EXPECT_TRUE(Listener::unix_path(path).ok());
  });
}
#endif

TEST_F(UnixListenerTest, AForkedChildEndsNothing) {
  auto made = Listener::tcp("127.0.0.1", 0);
  ASSERT_TRUE(made.ok());
  const pid_t child = ::fork();
  if (child == 0) {
    made->close();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(connect_tcp("127.0.0.1", made->port(), soon(), {}).ok());
}

TEST_F(UnixListenerTest, AForkedChildRemovesNothing) {
  auto made = Listener::unix_path(path);
  ASSERT_TRUE(made.ok());
  const pid_t child = ::fork();
  if (child == 0) {
    made.value().close();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(there());
}

TEST_F(UnixListenerTest, NamesBadPaths) {
  const std::string bad[] = {"", folder.file(std::string(200, 'x')), folder.file("missing/s.sock"),
                             std::string("a\0b", 3)};
  for (const std::string& p : bad) {
    const auto r = Listener::unix_path(p);
    ASSERT_FALSE(r.ok());
    EXPECT_EQ(r.error().code, Errc::bind_failed);
    EXPECT_NE(r.error().detail.find(p), std::string::npos);
  }
  EXPECT_EQ(connect_unix(bad[1], soon(), {}).error().code, Errc::configuration);
  const auto missing = connect_unix(path, soon(), {});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Errc::connect_failed);
}

TEST_F(UnixListenerTest, AFullQueueIsWaitedForUntilTheDeadline) {
  const Socket full(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(full.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(full.fd(), 0), 0);
  std::vector<Socket> clients;
  for (int i = 0; i < 10; ++i) {
    auto c = connect_unix(path, after(Clock::now(), 0.02), {});
    if (!c) {
      EXPECT_TRUE(c.error().code == Errc::connect_timeout || c.error().code == Errc::connect_failed);
      return;
    }
    clients.push_back(std::move(c).value());
  }
  FAIL() << "the queue is never full";
}

#endif

}  // namespace
}  // namespace simdrive::net
