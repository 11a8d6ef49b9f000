// Reads the JSON of the store vectors: no numbers but integers.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace simdrive::test {

struct Json {
  enum class Kind { null, boolean, number, string, array, object } kind = Kind::null;
  std::int64_t number = 0;  // also the value of a boolean
  std::string text;
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  [[nodiscard]] const Json* find(std::string_view name) const {
    for (const auto& [key, value] : members) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  /// The member; throws if there is none.
  [[nodiscard]] const Json& at(std::string_view name) const {
    if (const Json* value = find(name)) return *value;
    throw std::out_of_range("no member " + std::string(name));
  }
  [[nodiscard]] std::uint64_t u64() const { return static_cast<std::uint64_t>(number); }
  [[nodiscard]] std::uint64_t hex() const { return std::stoull(text, nullptr, 16); }
  [[nodiscard]] bool is_true() const { return number != 0; }
};

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  /// The one value of the text; throws on anything else.
  [[nodiscard]] Json read() {
    Json value = any();
    skip();
    if (at_ != text_.size()) fail();
    return value;
  }

 private:
  [[noreturn]] void fail() const { throw std::runtime_error("bad JSON at byte " + std::to_string(at_)); }
  char peek() {
    skip();
    if (at_ == text_.size()) fail();
    return text_[at_];
  }
  void skip() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  void expect(std::string_view word) {
    if (!take(word)) fail();
  }
  // Between two items of a list or behind the last one.
  bool another(std::string_view end) {
    skip();
    if (take(end)) return false;
    expect(",");
    return true;
  }

  Json any() {
    Json value;
    switch (peek()) {
      case '{':
        value.kind = Json::Kind::object;
        ++at_;
        skip();
        if (take("}")) return value;
        do {
          skip();
          std::string name = string();
          skip();
          expect(":");
          value.members.emplace_back(std::move(name), any());
        } while (another("}"));
        return value;
      case '[':
        value.kind = Json::Kind::array;
        ++at_;
        skip();
        if (take("]")) return value;
        do {
          value.items.push_back(any());
        } while (another("]"));
        return value;
      case '"':
        value.kind = Json::Kind::string;
        value.text = string();
        return value;
      case 't':
        expect("true");
        value.number = 1;
        value.kind = Json::Kind::boolean;
        return value;
      case 'f':
        expect("false");
        value.kind = Json::Kind::boolean;
        return value;
      case 'n': expect("null"); return value;
      default: {
        const std::size_t end = text_.find_first_not_of("-0123456789", at_);
        value.kind = Json::Kind::number;
        value.number = std::stoll(std::string(text_.substr(at_, end - at_)));
        at_ = end == std::string_view::npos ? text_.size() : end;
        return value;
      }
    }
  }

  std::string string() {
    expect("\"");
    std::string out;
    while (!take("\"")) {
      if (at_ == text_.size()) fail();
      const char c = text_[at_++];
      if (c != '\\') {
        out += c;
        continue;
      }
      const char escape = at_ < text_.size() ? text_[at_++] : '"';
      switch (escape) {
        case 'n': out += '\n'; break;
        case 't': out += '\t'; break;
        case 'r': out += '\r'; break;
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'u': {
          std::uint32_t code = hex4();
          if (code >= 0xD800 && code < 0xDC00) {  // the first half of a pair
            expect("\\u");
            code = 0x10000 + ((code - 0xD800) << 10) + (hex4() - 0xDC00);
          }
          append_utf8(out, code);
          break;
        }
        default: out += escape;
      }
    }
    return out;
  }

  std::uint32_t hex4() {
    if (text_.size() - at_ < 4) fail();
    const auto code = static_cast<std::uint32_t>(std::stoul(std::string(text_.substr(at_, 4)), nullptr, 16));
    at_ += 4;
    return code;
  }

  static void append_utf8(std::string& out, std::uint32_t code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
      return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    out += static_cast<char>((0x780 >> more & 0xFF) | (code >> 6 * more));
    for (int i = more; i-- > 0;) out += static_cast<char>(0x80 | (code >> 6 * i & 0x3F));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace simdrive::test
