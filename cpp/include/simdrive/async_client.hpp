// The client for a program with an event loop: nothing here waits. The program watches two descriptors and a time, and
// calls pump() when one of them is due; calls are started, and handed out again when they are over. For loops that
// cannot watch descriptors there is async_watcher.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "simdrive/bytes.hpp"
#include "simdrive/client.hpp"
#include "simdrive/error.hpp"

namespace simdrive {

/// A call of an `AsyncClient`, which owns it; valid until recycle().
struct AsyncCall {
  void* tag = nullptr;
  /// Its arguments and its receiver's memory are not needed any more. A call that timed out, or was ended by its
  /// Progress, while a part of it was on its way may be handed out twice: with its error at once, and when it is over.
  /// recycle() it then.
  bool over = false;
  bool failed = false;
  Error error;
  /// Of len, file_size; 0 or 1 of exists, is_empty.
  std::uint64_t number = 0;
  /// Of read, if it did not fail.
  ReadResult* result = nullptr;

 protected:
  AsyncCall() = default;
  ~AsyncCall() = default;
};

/// At most so many calls at once, of those that are given it; the others wait for their turn. For one client.
struct CallLimit;
std::shared_ptr<CallLimit> make_call_limit(std::uint32_t most);

struct AsyncCallOptions {
  /// Deadline of this call in seconds; negative: the client's `timeout`.
  double timeout = -1.0;
  /// Comes back with the call.
  void* tag = nullptr;
  /// Told from within pump().
  Progress progress{};
  /// The key and the payloads do not change before the call is handed out. Where that is not so, a cancelled call that
  /// was sent in part breaks the connection.
  bool args_stay = false;
  /// Besides the client's own `max_inflight`.
  std::shared_ptr<CallLimit> limit{};
};

/// What the event loop is to do next.
struct AsyncWatch {
  /// To be watched for reading; -1: there is no connection now. A SOCKET on Windows.
  std::int64_t socket = -1;
  /// And for writing.
  bool writable = false;
  /// pump() is due at once: there is more than one round takes.
  bool again = false;
  /// Seconds until pump() is due although nothing happens on the descriptors.
  double seconds = kNoLimit;
  /// Another number: another socket, even where the descriptor is the same. Then call unwatched() once the old one is
  /// no longer watched; until then it stays open.
  std::uint64_t generation = 0;
};

/// One client, one connection at a time, for one thread at a time. A lost connection is replaced in the background, and
/// calls wait for it until their deadline, as with `Client`. Arguments are borrowed until the call is handed out by
/// next_done(), also if it was cancelled; every call that was started is.
class AsyncClient {
 public:
  /// Begins to connect, on a thread that ends with it. `Errc::configuration`, `Errc::connect_failed` (no thread).
  static Result<std::unique_ptr<AsyncClient>> open(Options options);
  AsyncClient(const AsyncClient&) = delete;
  AsyncClient& operator=(const AsyncClient&) = delete;
  /// Calls that were not handed out are forgotten.
  ~AsyncClient();

  /// Whether the first connection is there; its error if it could not be made, and never will be.
  Result<bool> connected();

  // Calls. Errors are those of bad arguments; nothing was started then. Sent by flush() or pump().
  Result<AsyncCall*> write(BytesView key, BytesView payload, const AsyncCallOptions& options = {});
  Result<AsyncCall*> batch_write(std::span<const KeyValue> entries, const AsyncCallOptions& options = {});
  /// Values of up to `ReadResult::kSmall` bytes arrive in the call, others where `receiver` says, from within pump().
  Result<AsyncCall*> read(BytesView key, const Receiver& receiver, const AsyncCallOptions& options = {});
  Result<AsyncCall*> batch_read(std::span<const BytesView> keys, const Receiver& receiver,
                                const AsyncCallOptions& options = {});
  Result<AsyncCall*> erase(BytesView key, const AsyncCallOptions& options = {});
  Result<AsyncCall*> exists(BytesView key, const AsyncCallOptions& options = {});
  Result<AsyncCall*> size(const AsyncCallOptions& options = {});
  Result<AsyncCall*> empty(const AsyncCallOptions& options = {});
  Result<AsyncCall*> file_size(const AsyncCallOptions& options = {});

  /// Nobody wants the outcome any more. The call is handed out as soon as its memory is free, with
  /// `Errc::interrupted`; what is returned says whether it may have been applied. A late reply is dropped.
  Outcome cancel(AsyncCall* call);
  /// The same, but only if no byte of it has left the process: else false, and the call goes on.
  bool withdraw(AsyncCall* call);

  /// Sends what was started, as far as that goes at once.
  void flush();
  /// Receives, sends, reconnects and ends overdue calls, as far as that goes at once and about 1 MiB each way.
  void pump();
  /// After flush() and pump().
  [[nodiscard]] AsyncWatch watch();
  void unwatched() noexcept;
  /// Readable when pump() is due for another reason than the socket. Always to be watched. Another one after fork().
  [[nodiscard]] std::int64_t wake_up() const noexcept;
  /// Makes pump() due; any thread.
  void wake() noexcept;

  /// A call that is over, or null.
  [[nodiscard]] AsyncCall* next_done();
  void recycle(AsyncCall* call);
  /// Calls started and not recycled.
  [[nodiscard]] std::size_t pending() const noexcept;
  /// Whether nothing was under way before the last call: it need not wait for others to be sent with it.
  [[nodiscard]] bool lone() const noexcept;

  /// Ends the connection; calls under way fail with `closed`. pump() hears the server out until close_ended(): for how
  /// long (`close_timeout`) is the loop's to decide.
  void close() noexcept;
  [[nodiscard]] bool close_ended() noexcept;
  [[nodiscard]] bool closed() const noexcept;
  /// "d13" or "d21"; empty while there is no connection.
  [[nodiscard]] std::string dialect() const;
  [[nodiscard]] const Options& options() const noexcept;
  [[nodiscard]] const std::string& endpoint() const noexcept;
  [[nodiscard]] ClientCounters counters() const noexcept;
  [[nodiscard]] bool has_events() const noexcept;
  [[nodiscard]] std::vector<Event> take_events();

 private:
  struct Impl;
  explicit AsyncClient(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_;
};

}  // namespace simdrive
