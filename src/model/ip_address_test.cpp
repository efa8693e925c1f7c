#include "model/ip_address.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <rapidcheck/gtest.h>

namespace berth {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

IpAddress arbitrary_address(bool v6, std::uint64_t high, std::uint64_t low) {
  if (!v6) return IpAddress::v4(static_cast<std::uint32_t>(low));
  return {IpFamily::v6, (IpNumber{high} << 64) | low};
}
bool is_mapped(const IpAddress& address) { return address.family == IpFamily::v6 && (address.number >> 32) == 0xFFFF; }

TEST(IpAddress, IsPrintedInItsCanonicalForm) {
  const std::map<std::string, std::string> rows{
      {"0.0.0.0", "0.0.0.0"},
      {"192.0.2.255", "192.0.2.255"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"2001:DB8::1", "2001:db8::1"},
      {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},       // RFC 5952 §4.2.3: of two equal runs the first
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},             // the longest run
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},    // §4.2.2: not for a single group
      {"fe80:0:0:0:0:0:0:0", "fe80::"},
  };
  for (const auto& [written, canonical] : rows) EXPECT_EQ(ip(written).to_string(), canonical) << written;
}

TEST(IpAddress, IsReadStrictly) {
  for (const std::string_view text : {"",
                                      " ",
                                      "1",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "1.2.3.256",
                                      "01.2.3.4",
                                      "1.2.3.04",
                                      " 1.2.3.4",
                                      "1.2.3.4 ",
                                      "1.2.3.4\n",
                                      "0x1.2.3.4",
                                      "1.2.3.-4",
                                      "1.2.3.4/32",
                                      "fe80::1%eth0",
                                      ":::",
                                      "1::2::3",
                                      "12345::",
                                      "[::1]",
                                      "::ffff:192.0.2.1",
                                      "::ffff:c000:201",
                                      "g::",
                                      "192.0.2.1-192.0.2.2"})
    EXPECT_EQ(IpAddress::parse(text), std::nullopt) << text;
  EXPECT_EQ(IpAddress::parse(std::string_view("1.2.3.4\0", 8)), std::nullopt);
  EXPECT_EQ(IpAddress::parse(std::string(1000, '1')), std::nullopt);
}

TEST(IpAddress, ALinkLocalOneMayHaveAZone) {
  const IpAddress there = ip("fe80::1").in(*Zone::of("eth0.100"));
  EXPECT_EQ(there.to_string(), "fe80::1%eth0.100");
  EXPECT_EQ(IpAddress::parse_scoped("fe80::1%eth0.100"), there);
  EXPECT_EQ(there.without_zone(), ip("fe80::1"));
  EXPECT_NE(there, ip("fe80::1"));
  EXPECT_EQ(IpAddress::parse_scoped("fe80::1"), ip("fe80::1"));
  EXPECT_EQ(IpAddress::parse_scoped("192.0.2.1"), ip("192.0.2.1"));
  EXPECT_FALSE(IpAddress::parse("fe80::1%eth0.100")) << "Kubernetes takes none";
  for (const char* text : {"192.0.2.1%eth0", "2001:db8::1%eth0", "fec0::1%eth0", "fe80::1%", "fe80::1%eth0%eth1", "fe80::1%a b",
                           "fe80::1%a/b", "fe80::1%a-name-of-16-byt", "%eth0", "fe80::1%.."})
    EXPECT_FALSE(IpAddress::parse_scoped(text)) << text;
  EXPECT_TRUE(ip("fe80::").is_link_local() && ip("febf:ffff::1").is_link_local());
  EXPECT_FALSE(ip("fec0::").is_link_local() || ip("fe7f::").is_link_local() || ip("254.128.0.1").is_link_local());
  EXPECT_TRUE(Zone{}.empty());
  EXPECT_EQ(Zone::of("name-of-15-byte")->name(), "name-of-15-byte");
  static_assert(sizeof(IpAddress) == 32, "the zone is in what was not used");
}

TEST(IpAddress, IsOrderedByNumberThenZone) {
  const IpAddress one = ip("fe80::1"), two = ip("fe80::2");
  const Zone a = *Zone::of("a"), b = *Zone::of("b");
  EXPECT_TRUE(one < one.in(a) && one.in(a) < one.in(b) && one.in(b) < two && two < two.in(a));
}

TEST(IpAddress, IsOrderedByNumberAndIpv4First) {
  const std::vector<std::string> ascending{"0.0.0.0", "9.255.255.255", "10.0.0.0",   "100.0.0.0", "255.255.255.255",
                                           "::",      "::1",           "2001:db8::", "ffff::"};
  for (std::size_t i = 0; i < ascending.size(); ++i)
    for (std::size_t j = 0; j < ascending.size(); ++j)
      EXPECT_EQ(ip(ascending[i]) < ip(ascending[j]), i < j) << ascending[i] << " " << ascending[j];
}

TEST(IpAddress, BytesAreInNetworkOrder) {
  EXPECT_EQ(ip("192.0.2.1").to_bytes(), std::string("\xc0\x00\x02\x01", 4));
  EXPECT_EQ(ip("2001:db8::1").to_bytes(), std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16));
}

RC_GTEST_PROP(IpAddress, TextIsReadBackAsTheSameAddress, (bool v6, std::uint64_t high, std::uint64_t low)) {
  const IpAddress address = arbitrary_address(v6, high, low);
  RC_PRE(!is_mapped(address));
  RC_ASSERT(IpAddress::parse(address.to_string()) == address);
}

TEST(IpRange, IsReadInItsThreeForms) {
  struct Row {
    std::string text, first, last;
    std::uint64_t size;
  };
  const std::vector<Row> rows{
      {"192.0.2.7", "192.0.2.7", "192.0.2.7", 1},
      {"192.0.2.0/24", "192.0.2.0", "192.0.2.255", 256},
      {"192.0.2.77/26", "192.0.2.64", "192.0.2.127", 64},  // host bits are masked off
      {"192.0.2.77/026", "192.0.2.64", "192.0.2.127", 64},
      {"192.0.2.7/32", "192.0.2.7", "192.0.2.7", 1},
      {"192.0.2.7/31", "192.0.2.6", "192.0.2.7", 2},
      {"0.0.0.0/0", "0.0.0.0", "255.255.255.255", 4294967296ULL},
      {"192.0.2.10-192.0.2.20", "192.0.2.10", "192.0.2.20", 11},
      {"192.0.2.10-192.0.2.10", "192.0.2.10", "192.0.2.10", 1},
      {"2001:db8::/120", "2001:db8::", "2001:db8::ff", 256},
      {"2001:db8::1/128", "2001:db8::1", "2001:db8::1", 1},
      {"2001:db8::a-2001:db8::1:0", "2001:db8::a", "2001:db8::1:0", 65527},
      {"2001:db8::/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", UINT64_MAX},  // as much as can be said
      {"2000::/3", "2000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", UINT64_MAX},
  };
  for (const Row& row : rows) {
    const auto range = parse_ip_range(row.text);
    ASSERT_TRUE(range.has_value()) << row.text;
    EXPECT_EQ(*range, (IpRange{ip(row.first), ip(row.last)})) << row.text;
    EXPECT_EQ(range->size(), row.size) << row.text;
  }
}

TEST(IpRange, RefusesTheRestAndSaysWhy) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", "not an IP address"},
      {"lan", "not an IP address"},
      {"192.0.2.0/33", "from 0 to 32"},
      {"192.0.2.0/-1", "from 0 to 32"},
      {"192.0.2.0/-0", "from 0 to 32"},
      {"192.0.2.0/+1", "from 0 to 32"},
      {"192.0.2.0/", "from 0 to 32"},
      {"192.0.2.0/033", "from 0 to 32"},
      {"192.0.2.0/4294967297", "from 0 to 32"},
      {"192.0.2.0/24 ", "from 0 to 32"},
      {"2001:db8::/129", "from 0 to 128"},
      {"lan/24", "before /"},
      {"192.0.2.20-192.0.2.10", "not below the first"},
      {"192.0.2.1-2001:db8::1", "one family"},
      {"192.0.2.1 - 192.0.2.2", "without blanks"},
      {"192.0.2.1-", "both ends"},
      {"192.0.2.1-20", "both ends"},
      {"::/0", "IPv4-mapped"},  // addresses of it could not be read back
      {"::/80", "IPv4-mapped"},
      {"::1-2001:db8::1", "IPv4-mapped"},
  };
  for (const auto& [text, why] : rows) {
    const auto range = parse_ip_range(text);
    ASSERT_FALSE(range.has_value()) << text;
    EXPECT_EQ(range.error().code, ErrorCode::invalid) << text;
    EXPECT_NE(range.error().text.find(why), std::string::npos) << text << ": " << range.error().text;
    EXPECT_NE(range.error().text.find("spec.address"), std::string::npos) << "the field is named";
  }
}

TEST(IpRange, ContainsItsEndsAndNoOtherFamily) {
  const IpRange range{ip("0.0.0.10"), ip("0.0.0.20")};
  EXPECT_TRUE(range.contains(ip("0.0.0.10")));
  EXPECT_TRUE(range.contains(ip("0.0.0.20")));
  EXPECT_FALSE(range.contains(ip("0.0.0.9")));
  EXPECT_FALSE(range.contains(ip("0.0.0.21")));
  EXPECT_FALSE(range.contains(ip("::f")));
  EXPECT_TRUE(range.overlaps({ip("0.0.0.20"), ip("0.0.0.30")}));
  EXPECT_FALSE(range.overlaps({ip("0.0.0.21"), ip("0.0.0.30")}));
  EXPECT_FALSE(range.overlaps({ip("::"), ip("::ff")}));
}

TEST(Block, IsNamedByItsAddressRange) {
  EXPECT_EQ(block_name(ip("192.0.2.0")), "v4-192.0.2.0-26");
  EXPECT_EQ(block_name(ip("192.0.2.63")), "v4-192.0.2.0-26");
  EXPECT_EQ(block_name(ip("192.0.2.64")), "v4-192.0.2.64-26");
  EXPECT_EQ(block_name(ip("255.255.255.255")), "v4-255.255.255.192-26");
  EXPECT_EQ(block_name(ip("2001:db8::7f")), "v6-20010db8000000000000000000000040-122");
  EXPECT_EQ(block_name(ip("::")), "v6-00000000000000000000000000000000-122");
}

RC_GTEST_PROP(Block, HoldsItsAddressAndSixtyFourInAllUnderOneName, (bool v6, std::uint64_t high, std::uint64_t low)) {
  const IpAddress address = arbitrary_address(v6, high, low);
  const IpRange block = block_range(address);
  RC_ASSERT(block.contains(address));
  RC_ASSERT(block.size() == 64U);
  RC_ASSERT(block_name(block.first) == block_name(address));
  RC_ASSERT(block_name(block.last) == block_name(address));
  for (const char c : block_name(address)) RC_ASSERT(std::isdigit(c) || std::islower(c) || c == '-' || c == '.');
}

}  // namespace
}  // namespace berth
