// How much the tests of the store try: less with each change, more at night. tests/support/amounts.py is the same.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace simdrive::test {

/// The one that SIMDRIVE_TEST_AMOUNTS asks for: "change" (or unset), or "nightly".
inline unsigned amount(unsigned change, unsigned nightly) {
  const char* const named = std::getenv("SIMDRIVE_TEST_AMOUNTS");
  const std::string name = named == nullptr ? "" : named;
  if (!name.empty() && name != "change" && name != "nightly") {
    throw std::invalid_argument("SIMDRIVE_TEST_AMOUNTS=" + name + ": not one of change, nightly");
  }
  return name == "nightly" ? nightly : change;
}

}  // namespace simdrive::test
