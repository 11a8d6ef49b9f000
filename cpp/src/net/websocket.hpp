// One client-side WebSocket connection, pumped by its owner. No Boost type shows here.
//
// Not thread safe: every member is called under the owner's mutex, except send_some(), which may run without it
// (nobody else touches a pending write), and wait(), which must.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/socket.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/error.hpp"

namespace simdrive::net {

/// What the owner is told and asked; always from within a pump function, under the owner's mutex.
class Events {
 public:
  /// Where the next received bytes go. Empty: do not read now.
  virtual MutableBytes need() = 0;
  /// `n` bytes of a message landed in need().
  virtual void received(std::size_t n, bool binary, bool message_done) = 0;
  /// The last message given to write() is on its way; the next may follow.
  virtual void message_sent() = 0;
  /// Nothing more will come or go.
  virtual void broken(Error error) = 0;

 protected:
  ~Events() = default;
};

/// What a request for an upgrade says beside what it must: names and values of headers.
using UpgradeHeaders = std::vector<std::pair<std::string, std::string>>;

class WebSocket {
 public:
  /// Connects and upgrades within `deadline`. `events` must outlive the object.
  static Result<std::unique_ptr<WebSocket>> connect(const std::string& host, std::uint16_t port,
                                                    const std::string& path, TimePoint deadline,
                                                    const StopRequest& stop, Events& events,
                                                    const UpgradeHeaders& headers = {});
  /// The same over the unix socket at `socket_path`.
  static Result<std::unique_ptr<WebSocket>> connect_unix(const std::string& socket_path, const std::string& path,
                                                         TimePoint deadline, const StopRequest& stop, Events& events,
                                                         const UpgradeHeaders& headers = {});
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;
  ~WebSocket();

  /// Makes one binary message of the pieces, to be sent by send_some(). Not while has_send().
  void write(std::span<const BytesView> pieces);
  void ping();

  /// Runs what is queued and, if bytes are wanted, receives until the socket is dry, about `max` bytes have come, or
  /// the receive is over that `until` fell into. Returns the bytes received.
  std::size_t receive_all(std::size_t max = std::numeric_limits<std::size_t>::max(),
                          TimePoint until = TimePoint::max());
  [[nodiscard]] bool has_send() const noexcept;
  IoResult send_some() noexcept;
  void complete_send(const IoResult& result);

  /// poll() said that the socket can be read.
  void set_readable() noexcept;
  [[nodiscard]] SocketHandle fd() const noexcept;
  void quick_ack() noexcept;
  /// Whether receive_ahead() may be called.
  [[nodiscard]] bool may_receive_ahead() const noexcept;
  /// Waits for bytes (Socket::receive_or_wait()), for the next receive_all(). Without the mutex; nobody else may
  /// receive meanwhile. False: nothing came.
  bool receive_ahead() noexcept;
  /// Ends both directions; whoever waits on the socket wakes up.
  void shutdown() noexcept;
  /// Sends a Close frame and nothing after it. False: a message is under way, nothing was sent.
  bool say_close() noexcept;
  /// After say_close(): drops what has come; whether the server has ended its side, too. Needs no mutex.
  bool ended() noexcept;
  /// After fork(): closes this process's copy of the descriptor and says nothing to the peer.
  void abandon() noexcept;

 private:
  struct Impl;
  static Result<std::unique_ptr<WebSocket>> upgrade(Result<Socket> socket, const std::string& authority,
                                                    const std::string& path, TimePoint deadline,
                                                    const StopRequest& stop, Events& events,
                                                    const UpgradeHeaders& headers);
  explicit WebSocket(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace simdrive::net
