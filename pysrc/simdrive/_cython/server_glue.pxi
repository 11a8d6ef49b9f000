# simdrive::Server as Cython can call it. Its threads never touch Python: what they log waits in a queue.

from libc.stdint cimport uint16_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string

from simdrive._cython.libsimdrive.server cimport CServerOptions, CServerStats
from simdrive._cython.libsimdrive.store cimport CStore


cdef extern from *:
    """
    #include <chrono>
    #include <condition_variable>
    #include <deque>
    #include <memory>
    #include <mutex>
    #include <string>

    #include "simdrive/server.hpp"

    namespace {

    struct LogLine {
      int level = 0;
      std::string event, message, peer;
    };

    // Between the server's threads, which never wait for it, and the one of Python's that logs.
    class LogQueue {
     public:
      void push(const simdrive::LogRecord& r) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (lines_.size() == kMost) {
          ++lost_;
          return;
        }
        if (lost_ != 0) {
          lines_.push_back({2, "log", std::to_string(lost_) + " records were left out: they came too fast", {}});
          lost_ = 0;
        }
        lines_.push_back({static_cast<int>(r.level), std::string(r.event), std::string(r.message),
                          std::string(r.peer)});
        more_.notify_one();
      }
      void close() {
        const std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
        more_.notify_all();
      }
      // 1: a line; 0: none within the time; -1: none, and no more will come.
      int take(double seconds, LogLine& line) {
        std::unique_lock<std::mutex> lock(mutex_);
        more_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return closed_ || !lines_.empty(); });
        if (lines_.empty()) return closed_ ? -1 : 0;
        line = std::move(lines_.front());
        lines_.pop_front();
        return 1;
      }

     private:
      static constexpr size_t kMost = 4096;
      std::mutex mutex_;
      std::condition_variable more_;
      std::deque<LogLine> lines_;
      uint64_t lost_ = 0;
      bool closed_ = false;
    };

    class RunningServer {
     public:
      static RunningServer* start(const simdrive::Store& store, simdrive::ServerOptions options,
                                  simdrive::Error& error) {
        auto log = std::make_shared<LogQueue>();
        options.log = [log](const simdrive::LogRecord& record) { log->push(record); };
        auto r = simdrive::Server::start(store, options);
        if (!keep_error(r, error)) return nullptr;
        return new RunningServer(std::move(r).value(), std::move(log));
      }
      ~RunningServer() { log_->close(); }

      std::string url() const { return server_.url(); }
      uint16_t port() const { return server_.port(); }
      simdrive::ServerStats stats() const { return server_.stats(); }
      bool stop(double timeout, simdrive::Error& error) {
        auto r = server_.stop(timeout);
        log_->close();
        return keep_error(r, error);
      }
      bool wait(double seconds) const { return server_.wait(seconds); }
      bool running() const { return server_.running(); }
      int take_log(double seconds, LogLine& line) { return log_->take(seconds, line); }

     private:
      RunningServer(simdrive::Server server, std::shared_ptr<LogQueue> log)
          : server_(std::move(server)), log_(std::move(log)) {}

      simdrive::Server server_;
      std::shared_ptr<LogQueue> log_;
    };

    }  // namespace
    """
    cdef cppclass LogLine:
        LogLine() noexcept
        int level
        string event
        string message
        string peer

    cdef cppclass RunningServer:
        string url() except +raise_unexpected nogil
        uint16_t port() noexcept nogil
        CServerStats stats() except +raise_unexpected nogil
        cbool stop(double, Error&) except +raise_unexpected nogil
        cbool wait(double) noexcept nogil
        cbool running() noexcept nogil
        int take_log(double, LogLine&) except +raise_unexpected nogil
    RunningServer* sd_server_start "RunningServer::start"(
        const CStore&, CServerOptions, Error&
    ) except +raise_unexpected nogil
