// IpAddress and IpRange: values of either family, ordered IPv4 before IPv6, with the arithmetic that
// allocation needs. IPv4 is kept as its 32-bit number, IPv6 as its 128-bit one.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace berth {

enum class IpFamily : std::uint8_t { v4, v6 };
std::string_view to_string(IpFamily family);  // "IPv4" or "IPv6", as Kubernetes writes it

using IpNumber = unsigned __int128;

// The interface that a link-local address is of (RFC 4007 §5), by its name on this machine; of any other address empty.
class Zone {
 public:
  static constexpr std::size_t longest = 15;  // as the Linux kernel's names of interfaces
  Zone() = default;
  // Absent: it can't be the name of an interface.
  static std::optional<Zone> of(std::string_view interface);
  [[nodiscard]] bool empty() const { return name_.front() == '\0'; }
  [[nodiscard]] std::string_view name() const { return {name_.data(), std::ranges::find(name_, '\0')}; }
  auto operator<=>(const Zone&) const = default;

 private:
  std::array<char, longest> name_{};  // in what is left beside a family: it costs an address no memory
};

struct IpAddress {
  constexpr IpAddress() = default;
  constexpr IpAddress(IpFamily of_family, IpNumber with_number) : family(of_family), number(with_number) {}

  IpFamily family = IpFamily::v4;
  Zone zone{};
  IpNumber number = 0;

  static IpAddress v4(std::uint32_t number) { return {IpFamily::v4, number}; }
  // Strict: no leading zeros, no blanks, no zone, no IPv4-mapped IPv6 (KEP-4858).
  static std::optional<IpAddress> parse(std::string_view text);
  // The same, and fe80::1%eth0 (RFC 4007 §11), with a zone for each link-local address, or without.
  static std::optional<IpAddress> parse_scoped(std::string_view text);
  // The canonical text form (RFC 5952 for IPv6), with its zone.
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool is_link_local() const;  // fe80::/10
  [[nodiscard]] IpAddress in(const Zone& zone) const;
  [[nodiscard]] IpAddress without_zone() const { return in({}); }
  // 4 or 16 bytes in network order.
  [[nodiscard]] std::string to_bytes() const;
  [[nodiscard]] int bits() const { return family == IpFamily::v4 ? 32 : 128; }
  [[nodiscard]] IpAddress plus(IpNumber by) const { return {family, number + by}; }
  std::strong_ordering operator<=>(const IpAddress& other) const;  // by family, number, zone
  bool operator==(const IpAddress&) const = default;
};

// All addresses from `first` to `last`, both included; one family, first <= last.
struct IpRange {
  IpAddress first;
  IpAddress last;

  [[nodiscard]] bool contains(const IpAddress& ip) const { return ip.family == first.family && first <= ip && ip <= last; }
  [[nodiscard]] bool overlaps(const IpRange& other) const {
    return first.family == other.first.family && first <= other.last && other.first <= last;
  }
  // The number of addresses; sizes beyond 2^64-1 are shown as 2^64-1.
  [[nodiscard]] std::uint64_t size() const;
  bool operator==(const IpRange&) const = default;
};

// The forms of an Eip's `spec.address`: one address, `address/prefix length` (host bits are masked
// off), or `first-last`. The error names the field and the rule.
Result<IpRange> parse_ip_range(std::string_view text, std::string_view field = "spec.address");

// One or more of these forms with commas between them, blanks around a comma allowed; they may be of both families, and
// none overlaps another. At most 256.
Result<std::vector<IpRange>> parse_ip_ranges(std::string_view text);

// What is in `ranges` and in none of `without`, in the order of `ranges`.
std::vector<IpRange> subtract(const std::vector<IpRange>& ranges, std::vector<IpRange> without);

// The aligned block that holds `ip`: a /26 of IPv4, a /122 of IPv6, both 64 addresses.
IpRange block_range(const IpAddress& ip);
// Its object name: `v4-192.0.2.0-26`, `v6-<32 hex digits>-122` (a colon is refused in names).
std::string block_name(const IpAddress& ip);
// The range that such a name stands for; nullopt: it is no block's name.
std::optional<IpRange> block_range_of(std::string_view name);

}  // namespace berth
