// Calls of a client that are started one after the other and waited for later, so that many requests travel in few
// messages and none waits for the reply to the one before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "simdrive/async_client.hpp"
#include "simdrive/bytes.hpp"
#include "simdrive/client.hpp"
#include "simdrive/error.hpp"

namespace simdrive {

struct PipelineOptions {
  /// Deadline of this call in seconds, its wait for room included; negative: the client's `timeout`.
  double timeout = -1.0;
  /// Comes back with the call.
  void* tag = nullptr;
  /// As AsyncCallOptions::args_stay.
  bool args_stay = false;
  /// Besides the client's own `max_inflight`.
  std::shared_ptr<CallLimit> limit{};
  /// Wait where there is no room for one more call, or another thread is about to start one. Else null is returned.
  bool may_wait = true;
  /// Of that wait.
  Interrupt interrupt{};
};

/// Calls of one client, on its connection, under its options. Safe to share between threads. A thread that lives only
/// while there are calls sends them, receives for them, and ends them at their deadlines; a lost connection is treated
/// as for calls of the client. Calls for one key take effect in the order in which they were started, while the
/// connection lasts; also with regard to calls that a thread makes with the client itself, unless others leave no room.
///
/// Arguments are borrowed until the call is handed out with AsyncCall::over; every call that was started is.
class Pipeline {
 public:
  /// The client may go before the pipeline: calls under way fail with `closed` then.
  explicit Pipeline(const Client& client);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  /// Calls that were not handed out are forgotten. One that is half sent or half received breaks the connection.
  ~Pipeline();

  // Starting. Fails with what is wrong with the arguments, `closed`, `interrupted`, or, where there was no room for
  // another call until its deadline, `overload`.
  Result<AsyncCall*> write(BytesView key, BytesView payload, const PipelineOptions& options = {});
  Result<AsyncCall*> batch_write(std::span<const KeyValue> entries, const PipelineOptions& options = {});
  /// Values of up to `ReadResult::kSmall` bytes arrive in the call, others where `receiver` says, which is asked on
  /// whatever thread receives.
  Result<AsyncCall*> read(BytesView key, const Receiver& receiver, const PipelineOptions& options = {});
  Result<AsyncCall*> batch_read(std::span<const BytesView> keys, const Receiver& receiver,
                                const PipelineOptions& options = {});
  Result<AsyncCall*> erase(BytesView key, const PipelineOptions& options = {});
  Result<AsyncCall*> exists(BytesView key, const PipelineOptions& options = {});

  /// Takes a call back of which no byte has left the process; it is handed out with `Errc::interrupted`. False: it is
  /// too late. Not for a call that was recycled.
  bool withdraw(AsyncCall* call);

  /// A call that is over, or null.
  [[nodiscard]] AsyncCall* next_done();
  struct Done {
    AsyncCall* call = nullptr;
    bool over = false;
  };
  /// The same for many at once: how many there were. AsyncCall::over may change meanwhile, this one does not.
  std::size_t take_done(std::span<Done> out);
  /// Whether next_done() has something. Never waits.
  [[nodiscard]] bool any_done() const noexcept;
  void recycle(AsyncCall* call) noexcept;
  /// Calls started and not recycled.
  [[nodiscard]] std::size_t pending() const;

  enum class Waited : std::uint8_t { done, timeout, taken };
  /// Sleeps until next_done() has something, at most `seconds`. `taken`: another thread does so already.
  Waited wait(double seconds);
  /// Whether a thread is in wait(). Never waits.
  [[nodiscard]] bool waited_for() const noexcept;
  /// Ends wait() of another thread as if there were something.
  void nudge();
  /// Between these a thread hands out calls, or waits to.
  void attend() noexcept;
  void unattend() noexcept;
  /// wait() for a thread in the background, which hands out what no other does: at once if none attends, else what has
  /// been left for some milliseconds. For an hour at most.
  Waited wait_behind(double seconds);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // and of its thread
};

}  // namespace simdrive
