#include "server/status.hpp"

#include <array>
#include <charconv>
#include <string_view>

namespace simdrive::server {
namespace {

// Writes objects of numbers: no text in them needs escapes.
class JsonWriter {
 public:
  JsonWriter& open(std::string_view key = {}) {
    name(key);
    text_ += '{';
    first_ = true;
    return *this;
  }
  JsonWriter& close() {
    text_ += '}';
    first_ = false;
    return *this;
  }
  template <class Number>
  JsonWriter& number(std::string_view key, Number value) {
    name(key);
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    text_.append(digits.data(), end);
    return *this;
  }
  JsonWriter& word(std::string_view key, std::string_view value) {
    name(key);
    text_.append("\"").append(value).append("\"");
    return *this;
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void name(std::string_view key) {
    if (!first_) text_ += ',';
    first_ = false;
    if (!key.empty()) text_.append("\"").append(key).append("\":");
  }

  std::string text_;
  bool first_ = true;
};

}  // namespace

Status add_up(const std::vector<const Metrics*>& threads) {
  Status out;
  LatencyHistogram::Buckets latencies{};
  for (const Metrics* each : threads) {
    for (std::size_t i = 0; i < kCalls; ++i) {
      out.calls[i] += each->calls[i].get();
      out.errors[i] += each->errors[i].get();
    }
    for (std::size_t i = 0; i < kLimits; ++i) out.breaches[i] += each->breaches[i].get();
    out.stats.connections += each->connections.get();
    out.stats.accepted += each->accepted.get();
    out.stats.refused += each->refused.get();
    out.stats.cut += each->cut.get();
    out.stats.bytes_received += each->bytes_received.get();
    out.stats.bytes_sent += each->bytes_sent.get();
    each->latency.add_to(latencies);
  }
  for (std::size_t i = 0; i < kCalls; ++i) {
    out.stats.requests += out.calls[i];
    out.stats.errors += out.errors[i];
  }
  out.stats.latency_p50 = LatencyHistogram::percentile(latencies, 0.5);
  out.stats.latency_p99 = LatencyHistogram::percentile(latencies, 0.99);
  out.latency_p90 = LatencyHistogram::percentile(latencies, 0.9);
  out.latency_p999 = LatencyHistogram::percentile(latencies, 0.999);
  out.threads = static_cast<std::uint32_t>(threads.size());
  return out;
}

std::string to_json(const Status& status) {
  const ServerStats& stats = status.stats;
  JsonWriter json;
  json.open();
  json.word("state", status.draining ? "stopping" : "serving");
  json.number("uptime", stats.uptime).number("threads", status.threads);
  json.open("connections").number("open", stats.connections).number("accepted", stats.accepted);
  json.number("refused", stats.refused).number("cut", stats.cut).close();
  json.number("requests", stats.requests).number("errors", stats.errors);
  json.open("methods");
  for (std::size_t i = 0; i < kCalls; ++i) {
    json.open(name_of(static_cast<Call>(i))).number("calls", status.calls[i]).number("errors", status.errors[i]);
    json.close();
  }
  json.close();
  json.open("latency_seconds").number("p50", stats.latency_p50).number("p90", status.latency_p90);
  json.number("p99", stats.latency_p99).number("p999", status.latency_p999).close();
  json.open("bytes").number("received", stats.bytes_received).number("sent", stats.bytes_sent).close();
  json.open("store").number("entries", stats.entries).number("file_size", stats.file_size).close();
  json.open("limits");
  for (std::size_t i = 0; i < kLimits; ++i) json.number(name_of(static_cast<Limit>(i)), status.breaches[i]);
  json.close().close();
  return json.take();
}

}  // namespace simdrive::server
