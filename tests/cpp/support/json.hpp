// Reads the test vectors. Only what they hold: no numbers with fractions, and of escaped characters only the
// mark is taken away.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "simdrive/bytes.hpp"

namespace simdrive::test {

/// A JSON value. Asking for what it is not throws std::runtime_error, which fails the test.
class JsonValue {
 public:
  static JsonValue parse(std::string_view text);
  /// `tests/vectors/wire/<name>`.
  static JsonValue wire_vectors(const std::string& name);

  [[nodiscard]] bool is_null() const noexcept { return kind_ == Kind::null; }
  [[nodiscard]] bool is_object() const noexcept { return kind_ == Kind::object; }
  [[nodiscard]] bool has(const std::string& name) const { return of(Kind::object).members_.contains(name); }
  [[nodiscard]] const JsonValue& operator[](const std::string& name) const;
  [[nodiscard]] const std::vector<JsonValue>& list() const { return of(Kind::list).items_; }
  [[nodiscard]] const std::string& text() const { return of(Kind::text).text_; }
  [[nodiscard]] std::uint64_t number() const { return of(Kind::number).number_; }
  [[nodiscard]] bool boolean() const { return of(Kind::boolean).number_ != 0; }
  /// A byte string: hex, or a generator object (tests/vectors/wire/README.md).
  [[nodiscard]] Bytes bytes() const;

 private:
  enum class Kind : std::uint8_t { null, boolean, number, text, list, object };
  class Parser;

  [[nodiscard]] const JsonValue& of(Kind kind) const {
    if (kind_ != kind) throw std::runtime_error("the vectors hold another kind of value");
    return *this;
  }

  Kind kind_ = Kind::null;
  std::uint64_t number_ = 0;
  std::string text_;
  std::vector<JsonValue> items_;
  std::map<std::string, JsonValue> members_;
};

}  // namespace simdrive::test
