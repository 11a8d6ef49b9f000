#include "support/json.hpp"

#include <fstream>
#include <iterator>
#include <utility>

namespace simdrive::test {

class JsonValue::Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  JsonValue value() {
    JsonValue out;
    switch (peek()) {
      case '{': {
        out.kind_ = Kind::object;
        for (bool more = open('}'); more; more = next('}')) {
          std::string name = string();
          require(peek() == ':');
          ++at_;
          out.members_.emplace(std::move(name), value());
        }
        return out;
      }
      case '[': {
        out.kind_ = Kind::list;
        for (bool more = open(']'); more; more = next(']')) out.items_.push_back(value());
        return out;
      }
      case '"': {
        out.kind_ = Kind::text;
        out.text_ = string();
        return out;
      }
      default: return word();
    }
  }
  void end() {
    skip();
    require(at_ == text_.size());
  }

 private:
  static void require(bool condition) {
    if (!condition) throw std::runtime_error("the vectors are no JSON");
  }
  void skip() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  char peek() {
    skip();
    require(at_ < text_.size());
    return text_[at_];
  }
  bool open(char close) {
    ++at_;
    if (peek() != close) return true;
    ++at_;
    return false;
  }
  bool next(char close) {
    const char c = peek();
    require(c == ',' || c == close);
    ++at_;
    return c == ',';
  }
  std::string string() {
    require(peek() == '"');
    std::string out;
    for (++at_; require(at_ < text_.size()), text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') require(++at_ < text_.size());
      out += text_[at_];
    }
    ++at_;
    return out;
  }
  JsonValue word() {
    const std::size_t from = at_;
    while (at_ < text_.size() && std::string_view(",]} \t\r\n").find(text_[at_]) == std::string_view::npos) ++at_;
    const std::string word(text_.substr(from, at_ - from));
    JsonValue out;
    if (word == "null") return out;
    out.kind_ = word == "true" || word == "false" ? Kind::boolean : Kind::number;
    out.number_ = word == "true" ? 1 : word == "false" ? 0 : std::stoull(word);
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

JsonValue JsonValue::parse(std::string_view text) {
  Parser parser(text);
  JsonValue out = parser.value();
  parser.end();
  return out;
}

JsonValue JsonValue::wire_vectors(const std::string& name) {
  std::ifstream file(std::filesystem::path(SIMDRIVE_TEST_VECTORS) / "wire" / name, std::ios::binary);
  return parse(std::string(std::istreambuf_iterator<char>(file), {}));
}

const JsonValue& JsonValue::operator[](const std::string& name) const {
  const auto it = of(Kind::object).members_.find(name);
  if (it == members_.end()) throw std::runtime_error("the vectors lack " + name);
  return it->second;
}

Bytes JsonValue::bytes() const {
  Bytes out;
  if (kind_ == Kind::text) {
    if (text_.size() % 2 != 0) throw std::runtime_error("half a byte");
    for (std::size_t i = 0; i < text_.size(); i += 2) {
      out.push_back(static_cast<std::uint8_t>(std::stoul(text_.substr(i, 2), nullptr, 16)));
    }
    return out;
  }
  const std::uint64_t size = (*this)["len"].number();
  const std::uint64_t spread = (*this)["size"].number();
  std::uint64_t state = std::stoull((*this)["seed"].text());
  while (out.size() < size) {
    state += 0x9E3779B97F4A7C15;
    std::uint64_t z = state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    z ^= z >> 31;
    for (int i = 0; i < 8 && out.size() < size; ++i, z >>= 8) {
      out.push_back(static_cast<std::uint8_t>((*this)["base"].number() + (z & 255) % spread));
    }
  }
  return out;
}

}  // namespace simdrive::test
