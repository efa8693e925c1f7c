// spec.address of an Eip: whatever parses is a range that can be allocated from, and its printed form
// parses to the same.
#include <cstdint>
#include <string>

#include "base/check.hpp"
#include "model/ip_address.hpp"

namespace berth {
namespace {

void check_address(const IpAddress& ip) {
  const auto again = IpAddress::parse(ip.to_string());
  BERTH_CHECK(again && *again == ip, "a printed address parses to itself");
  BERTH_CHECK(ip.to_bytes().size() * 8 == static_cast<std::size_t>(ip.bits()), "as many bytes as the family has");
  BERTH_CHECK(ip.family == IpFamily::v6 || ip.number <= 0xFFFFFFFFU, "an IPv4 address has 32 bits");
  const IpRange block = block_range(ip);
  BERTH_CHECK(block.contains(ip) && block.size() == 64, "a block holds its addresses");
  BERTH_CHECK(block_name(block.first) == block_name(ip) && block_name(block.last) == block_name(ip), "one block, one name");
}

void check_range(std::string_view text) {
  const auto range = parse_ip_range(text);
  if (!range) {
    BERTH_CHECK(range.error().code == ErrorCode::invalid, "a bad address can't be cured by trying again");
    BERTH_CHECK(range.error().text.find("spec.address") != std::string::npos, "the error names the field");
    BERTH_CHECK(range.error().text.size() < 500, "the error is short");
    return;
  }
  BERTH_CHECK(range->first.family == range->last.family && range->first <= range->last, "a range runs upward in one family");
  BERTH_CHECK(range->size() > 0 && range->contains(range->first) && range->contains(range->last), "a range is not empty");
  BERTH_CHECK(range->overlaps(*range), "a range overlaps itself");
  check_address(range->first);
  check_address(range->last);
  const auto again = parse_ip_range(range->first.to_string() + "-" + range->last.to_string());
  BERTH_CHECK(again && *again == *range, "a printed range parses to itself");
}

// Several, with commas between them.
void check_list(std::string_view text) {
  const auto ranges = parse_ip_ranges(text);
  if (!ranges) {
    BERTH_CHECK(ranges.error().code == ErrorCode::invalid && ranges.error().text.size() < 500, "the error is short");
    return;
  }
  BERTH_CHECK(!ranges->empty() && ranges->size() <= 256, "a list has a bound");
  for (std::size_t i = 0; i < ranges->size(); ++i)
    for (std::size_t j = 0; j < i; ++j) BERTH_CHECK(!(*ranges)[i].overlaps((*ranges)[j]), "no address is in it twice");
  BERTH_CHECK(subtract(*ranges, {}) == *ranges && subtract(*ranges, *ranges).empty(), "what is taken out is what is gone");
  for (const IpRange& rest : subtract(*ranges, {ranges->front()}))
    BERTH_CHECK(!rest.overlaps(ranges->front()) && rest.first <= rest.last, "and the rest stays");
}

}  // namespace
}  // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{reinterpret_cast<const char*>(data), size};
  berth::check_range(text);
  berth::check_list(text);
  if (const auto ip = berth::IpAddress::parse(text)) berth::check_address(*ip);
  return 0;
}
