#include "model/ip_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "base/text.hpp"

namespace berth {
namespace {

constexpr int block_host_bits = 6;  // 64 addresses a block
constexpr IpRange mapped{{IpFamily::v6, IpNumber{0xFFFF'0000'0000}}, {IpFamily::v6, IpNumber{0xFFFF'FFFF'FFFF}}};  // ::ffff:0:0/96

IpNumber all_ones(int bits) { return bits >= 128 ? ~IpNumber{0} : (IpNumber{1} << bits) - 1; }

// Decimal with leading zeros too: OpenELB takes 192.0.2.0/024 for a /24.
std::optional<int> parse_prefix_length(std::string_view text, int most) {
  unsigned value = 0;  // so that "-0" is no number
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (value > static_cast<unsigned>(most)) return std::nullopt;
  return static_cast<int>(value);
}

tl::unexpected<Error> invalid_address(std::string_view text, std::string_view field, std::string_view rule) {
  return fail(ErrorCode::invalid, fmt::format("invalid eip address format: {} \"{}\": {}; write one address, "
                                              "address/prefix or first-last, e.g. 192.0.2.10-192.0.2.20",
                                              field, clipped(text, 100), rule));
}

// Kubernetes takes no IPv4-mapped address, so none may be given.
Result<IpRange> without_mapped(std::string_view text, std::string_view field, const IpRange& range) {
  if (range.overlaps(mapped)) return invalid_address(text, field, "IPv4-mapped addresses (::ffff:0:0/96) can't be in it");
  return range;
}

}  // namespace

std::string_view to_string(IpFamily family) { return family == IpFamily::v4 ? "IPv4" : "IPv6"; }

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.empty() || text.size() > 45) return std::nullopt;
  const std::string terminated{text};
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  std::array<unsigned char, 16> bytes{};
  const bool v6 = text.find(':') != std::string_view::npos;
  if (inet_pton(v6 ? AF_INET6 : AF_INET, terminated.c_str(), bytes.data()) != 1) return std::nullopt;
  IpAddress out{v6 ? IpFamily::v6 : IpFamily::v4, 0};
  for (std::size_t i = 0; i < (v6 ? 16U : 4U); ++i) out.number = (out.number << 8) | bytes[i];
  if (mapped.contains(out)) return std::nullopt;
  return out;
}

std::optional<Zone> Zone::of(std::string_view interface) {
  if (interface.empty() || interface.size() > longest || interface == "." || interface == "..") return std::nullopt;
  for (const char c : interface)
    if (c <= ' ' || c > '~' || c == '/' || c == '%' || c == ':' || c == '"') return std::nullopt;
  Zone out;
  std::ranges::copy(interface, out.name_.begin());
  return out;
}

std::optional<IpAddress> IpAddress::parse_scoped(std::string_view text) {
  const std::size_t at = text.find('%');
  if (at == std::string_view::npos) return parse(text);
  const auto address = parse(text.substr(0, at));
  const auto zone = Zone::of(text.substr(at + 1));
  if (!address || !address->is_link_local() || !zone) return std::nullopt;
  return address->in(*zone);
}

bool IpAddress::is_link_local() const {
  constexpr int prefix = 10;
  return family == IpFamily::v6 && number >> (128 - prefix) == 0xFE80 >> (16 - prefix);
}

IpAddress IpAddress::in(const Zone& of) const {
  IpAddress out = *this;
  out.zone = of;
  return out;
}

std::string IpAddress::to_bytes() const {
  std::string out(family == IpFamily::v4 ? 4 : 16, '\0');
  IpNumber rest = number;
  for (std::size_t i = out.size(); i-- > 0; rest >>= 8) out[i] = static_cast<char>(rest & 0xFF);
  return out;
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(family == IpFamily::v4 ? AF_INET : AF_INET6, to_bytes().data(), text.data(), text.size());
  std::string out = text.data();
  if (!zone.empty()) out.append("%").append(zone.name());
  return out;
}

std::strong_ordering IpAddress::operator<=>(const IpAddress& other) const {
  if (family != other.family) return family <=> other.family;
  if (number == other.number) return zone <=> other.zone;
  return number < other.number ? std::strong_ordering::less : std::strong_ordering::greater;
}

std::uint64_t IpRange::size() const {
  const IpNumber distance = last.number - first.number;
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  return distance >= most ? most : static_cast<std::uint64_t>(distance) + 1;
}

Result<IpRange> parse_ip_range(std::string_view text, std::string_view field) {
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const auto ip = IpAddress::parse(text.substr(0, slash));
    if (!ip) return invalid_address(text, field, "the part before / is not an IP address");
    const auto length = parse_prefix_length(text.substr(slash + 1), ip->bits());
    if (!length) return invalid_address(text, field, fmt::format("the prefix length is a number from 0 to {}", ip->bits()));
    const IpNumber host_mask = all_ones(ip->bits() - *length);
    const IpAddress first{ip->family, ip->number & ~host_mask};
    return without_mapped(text, field, {first, first.plus(host_mask)});
  }
  if (const auto dash = text.find('-'); dash != std::string_view::npos) {
    const auto first = IpAddress::parse(text.substr(0, dash));
    const auto last = IpAddress::parse(text.substr(dash + 1));
    if (!first || !last) return invalid_address(text, field, "both ends of a range are IP addresses without blanks");
    if (first->family != last->family) return invalid_address(text, field, "both ends are of one family");
    if (*last < *first) return invalid_address(text, field, "the last address is not below the first");
    return without_mapped(text, field, {*first, *last});
  }
  const auto ip = IpAddress::parse(text);
  if (!ip) return invalid_address(text, field, "not an IP address");
  return IpRange{*ip, *ip};
}

Result<std::vector<IpRange>> parse_ip_ranges(std::string_view text) {
  constexpr std::size_t most = 256;
  std::vector<IpRange> out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    auto range = parse_ip_range(part);
    if (!range) return fail(range.error());
    const auto overlapping = std::ranges::find_if(out, [&](const IpRange& other) { return other.overlaps(*range); });
    if (overlapping != out.end())
      return invalid_address(
          part, "spec.address",
          fmt::format("it overlaps {}-{}, which stands before it", overlapping->first.to_string(), overlapping->last.to_string()));
    if (out.size() == most) return invalid_address(part, "spec.address", fmt::format("at most {} ranges go into one pool", most));
    out.push_back(*range);
    begin = end + 1;
  }
  return out;
}

std::vector<IpRange> subtract(const std::vector<IpRange>& ranges, std::vector<IpRange> without) {
  std::ranges::sort(without, {}, &IpRange::first);
  std::vector<IpRange> out;
  for (IpRange rest : ranges) {
    bool over = false;
    for (const IpRange& gap : without) {
      if (!gap.overlaps(rest)) continue;
      if (rest.first < gap.first) out.push_back({rest.first, {rest.first.family, gap.first.number - 1}});
      over = rest.last <= gap.last;
      if (over) break;
      rest.first = gap.last.plus(1);
    }
    if (!over) out.push_back(rest);
  }
  return out;
}

IpRange block_range(const IpAddress& ip) {
  const IpNumber host_mask = all_ones(block_host_bits);
  const IpAddress first{ip.family, ip.number & ~host_mask};
  return {first, first.plus(host_mask)};
}

std::string block_name(const IpAddress& ip) {
  const auto first = ip.number & ~all_ones(block_host_bits);
  if (ip.family == IpFamily::v6)
    return fmt::format("v6-{:016x}{:016x}-122", static_cast<std::uint64_t>(first >> 64), static_cast<std::uint64_t>(first));
  const auto n = static_cast<std::uint32_t>(first);
  return fmt::format("v4-{}.{}.{}.{}-26", n >> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255);
}

std::optional<IpRange> block_range_of(std::string_view name) {
  std::optional<IpAddress> first;
  if (name.starts_with("v4-") && name.ends_with("-26")) {
    first = IpAddress::parse(name.substr(3, name.size() - 6));
  } else if (name.starts_with("v6-") && name.size() == 39) {
    IpAddress out{IpFamily::v6, 0};
    for (const char c : name.substr(3, 32)) {
      unsigned digit = 0;
      if (std::from_chars(&c, &c + 1, digit, 16).ec != std::errc{}) return std::nullopt;
      out.number = (out.number << 4) | digit;
    }
    first = out;
  }
  if (!first || block_name(*first) != name) return std::nullopt;
  return block_range(*first);
}

}  // namespace berth
