// Cuts an input at places drawn from its own bytes: so a corpus file is the plain text that a parser
// reads, and a replay cuts at the same places. Each piece is a heap block of its own size, so that the
// sanitizer sees a read beyond it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace berth::fuzz {

inline std::vector<std::vector<char>> pieces(std::string_view text, std::uint64_t salt = 0) {
  std::uint64_t state = 0xCBF29CE484222325U + salt;
  for (const char c : text) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001B3U;  // FNV-1a
  std::vector<std::vector<char>> out;
  while (!text.empty()) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const std::size_t wide = (state >> 60) < 12 ? 8 : 512;  // mostly short ones: they cut within words
    const std::size_t size = std::min<std::size_t>(text.size(), 1 + (state >> 33) % wide);
    out.emplace_back(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
    text.remove_prefix(size);
  }
  return out;
}

inline std::string_view view(const std::vector<char>& piece) { return {piece.data(), piece.size()}; }

}  // namespace berth::fuzz
