// Text from outside, cut to what a message can hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace berth {

// At most `most` bytes of `text`, cut between characters of UTF-8: half a character is not JSON, and
// messages end up in Events and in the state page.
inline std::string clipped(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string{text};
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  return std::string{text.substr(0, most)};
}

// Equal but for the case of ASCII letters.
inline bool same_letters(std::string_view a, std::string_view b) {
  const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return small(x) == small(y); });
}

}  // namespace berth
