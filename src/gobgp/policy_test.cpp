#include "gobgp/policy.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "gobgp/translate.hpp"

namespace berth::gobgp {
namespace {

// Everything that may stand in one.
constexpr std::string_view whole = R"(
[global.apply-policy.config]
  import-policy-list = ["inward"]
  default-import-policy = "reject-route"
  export-policy-list = ["outward"]
  default-export-policy = "reject-route"
[[defined-sets.prefix-sets]]
  prefix-set-name = "ours"
  [[defined-sets.prefix-sets.prefix-list]]
    ip-prefix = "203.0.113.0/24"
    masklength-range = "24..32"
  [[defined-sets.prefix-sets.prefix-list]]
    ip-prefix = "198.51.100.0/25"
[[defined-sets.neighbor-sets]]
  neighbor-set-name = "tor"
  neighbor-info-list = ["10.0.0.254", "10.1.0.0/16"]
[[defined-sets.tag-sets]]
  tag-set-name = "t"
[[defined-sets.bgp-defined-sets.community-sets]]
  community-set-name = "c"
  community-list = ["65000:1", "65000:.*"]
[[defined-sets.bgp-defined-sets.ext-community-sets]]
  ext-community-set-name = "e"
  ext-community-list = ["RT:65000:1"]
[[defined-sets.bgp-defined-sets.as-path-sets]]
  as-path-set-name = "a"
  as-path-list = ["^65100"]
[[defined-sets.bgp-defined-sets.large-community-sets]]
  large-community-set-name = "l"
  large-community-list = ["65000:1:1"]
[[policy-definitions]]
  name = "outward"
  [[policy-definitions.statements]]
    name = "first"
    [policy-definitions.statements.conditions.match-prefix-set]
      prefix-set = "ours"
      match-set-options = "any"
    [policy-definitions.statements.conditions.match-neighbor-set]
      neighbor-set = "tor"
      match-set-options = "invert"
    [policy-definitions.statements.conditions.bgp-conditions]
      next-hop-in-list = ["10.0.0.1"]
      afi-safi-in-list = ["ipv4-unicast"]
      route-type = "local"
      origin-eq = "igp"
      med-eq = 7
      local-pref-eq = 8
      [policy-definitions.statements.conditions.bgp-conditions.match-community-set]
        community-set = "c"
        match-set-options = "all"
      [policy-definitions.statements.conditions.bgp-conditions.match-ext-community-set]
        ext-community-set = "e"
      [policy-definitions.statements.conditions.bgp-conditions.match-as-path-set]
        as-path-set = "a"
      [policy-definitions.statements.conditions.bgp-conditions.match-large-community-set]
        large-community-set = "l"
      [policy-definitions.statements.conditions.bgp-conditions.as-path-length]
        operator = "le"
        value = 3
      [policy-definitions.statements.conditions.bgp-conditions.community-count]
        operator = "attribute-ge"
        value = 1
    [policy-definitions.statements.actions]
      route-disposition = "accept-route"
    [policy-definitions.statements.actions.bgp-actions]
      set-local-pref = 110
      set-med = "-20"
      set-next-hop = "self"
      set-route-origin = "egp"
      [policy-definitions.statements.actions.bgp-actions.set-as-path-prepend]
        as = "last-as"
        repeat-n = 2
      [policy-definitions.statements.actions.bgp-actions.set-community]
        options = "add"
        [policy-definitions.statements.actions.bgp-actions.set-community.set-community-method]
          communities-list = ["65000:2"]
      [policy-definitions.statements.actions.bgp-actions.set-ext-community]
        options = "replace"
        [policy-definitions.statements.actions.bgp-actions.set-ext-community.set-ext-community-method]
          communities-list = ["RT:65000:2"]
      [policy-definitions.statements.actions.bgp-actions.set-large-community]
        options = "remove"
        [policy-definitions.statements.actions.bgp-actions.set-large-community.set-large-community-method]
          communities-list = ["65000:1:2"]
)";

TEST(Policy, EverythingThatMayStandInOneIsTaken) {
  const auto read = parse_policy(whole);
  ASSERT_TRUE(read) << read.error().text;
  ASSERT_EQ(read->sets.size(), 6U);
  EXPECT_EQ(read->sets[0].prefixes(0).ShortDebugString(), R"(ip_prefix: "203.0.113.0/24" mask_length_min: 24 mask_length_max: 32)");
  EXPECT_EQ(read->sets[0].prefixes(1).mask_length_min(), 25U) << "without a range, its own length";
  EXPECT_EQ(read->sets[1].list(0), "10.0.0.254/32");
  EXPECT_EQ(read->exported, std::vector<std::string>{"outward"});
  EXPECT_TRUE(read->reject_by_default);
  ASSERT_EQ(read->policies.size(), 1U);
  EXPECT_EQ(read->policies[0].statements(0).conditions().ShortDebugString(),
            R"(prefix_set { type: 1 name: "ours" } neighbor_set { type: 3 name: "tor" } as_path_length { type: 3 length: 3 } )"
            R"(as_path_set { type: 1 name: "a" } community_set { type: 2 name: "c" } ext_community_set { type: 1 name: "e" } )"
            R"(route_type: 3 large_community_set { type: 1 name: "l" } next_hop_in_list: "10.0.0.1" afi_safi_in { afi: 1 safi: 1 } )"
            R"(community_count { type: 2 count: 1 } origin: 1 local_pref_eq { value: 8 } med_eq { value: 7 })");
  EXPECT_EQ(read->policies[0].statements(0).actions().ShortDebugString(),
            R"(route_action: 1 community { type: 1 communities: "65000:2" } med { type: 1 value: -20 } )"
            R"(as_prepend { repeat: 2 use_left_most: true } ext_community { type: 3 communities: "RT:65000:2" } nexthop { self: true } )"
            R"(local_pref { value: 110 } large_community { type: 2 communities: "65000:1:2" } origin_action { origin: 2 })");
  EXPECT_EQ(read->notes, (std::vector<std::string>{"defined-sets.tag-sets: GoBGP has no tags on routes",
                                                   "global.apply-policy.config.import-policy-list: Berth accepts no routes",
                                                   "global.apply-policy.config.default-import-policy: Berth accepts no routes"}));
}

TEST(Policy, NothingIsAPolicyToo) {
  const auto read = parse_policy("");
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->exported.empty());
  EXPECT_FALSE(read->reject_by_default);
}

TEST(Policy, AMistakeIsToldByItsPlace) {
  const std::string statement = "[[policy-definitions]]\nname = \"p\"\n[[policy-definitions.statements]]\nname = \"s\"\n";
  for (const auto& [text, said] : std::vector<std::pair<std::string, std::string>>{
           {"x = [", "line 1: "},
           {"[[`x]]", "line 1: "},
           {"# \u3001 is no matter here\n\u3001 = 1", "line 2: write it in ASCII"},
           {"[neighbors]\n", "neighbors: there is no such key here"},
           {"global = 7", "line 1: global: write a table"},
           {"[[defined-sets.prefix-sets]]\nprefix-set-name = 7", "line 2: defined-sets.prefix-sets[0].prefix-set-name: write a text"},
           {"[[defined-sets.prefix-sets]]\n", "defined-sets.prefix-sets[0].prefix-set-name: a name is needed"},
           {"[[defined-sets.prefix-sets]]\nprefix-set-name = \"berth-x\"", "names that begin with berth- are Berth's own"},
           {"[[defined-sets.prefix-sets]]\nprefix-set-name = \"x\"\n[[defined-sets.prefix-sets.prefix-list]]\nip-prefix = \"10.0.0.1\"",
            "defined-sets.prefix-sets[0].prefix-list[0].ip-prefix: \"10.0.0.1\": write address/length"},
           {"[[defined-sets.prefix-sets]]\nprefix-set-name = \"x\"\n[[defined-sets.prefix-sets.prefix-list]]\nip-prefix = "
            "\"10.0.0.0/8\"\nmasklength-range = \"24..33\"",
            "masklength-range: \"24..33\": write two lengths up to 32"},
           {"[[defined-sets.neighbor-sets]]\nneighbor-set-name = \"x\"\nneighbor-info-list = [\"tor\"]", "\"tor\" is no address"},
           {"[[defined-sets.neighbor-sets]]\nneighbor-set-name = \"x\"\n[[defined-sets.neighbor-sets]]\nneighbor-set-name = \"x\"",
            "there are two sets \"x\""},
           {"[[policy-definitions]]\nname = \"p\"\n", "policy-definitions[0].statements: a policy needs one statement at least"},
           {statement + "[policy-definitions.statements.conditions.match-prefix-set]\nprefix-set = \"none\"",
            "there is no such set \"none\""},
           {statement + "[policy-definitions.statements.actions]\nroute-disposition = \"accept\"",
            "\"accept\" is none of none, accept-route, reject-route"},
           {statement + "[policy-definitions.statements.actions.bgp-actions]\nset-med = \"+x\"", "write a number, +number or -number"},
           {statement + "[policy-definitions.statements.actions.bgp-actions]\nset-local-pref = -1", "write a number from 0 to 4294967295"},
           {statement + "[policy-definitions.statements.actions.bgp-actions.set-community]\n", "options: write add, remove or replace"},
           {statement + "[policy-definitions.statements.actions.bgp-actions.set-as-path-prepend]\nas = \"0\"", "neither an AS number"},
           {"[global.apply-policy.config]\nexport-policy-list = [\"p\"]", "there is no policy \"p\""}}) {
    const auto read = parse_policy(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::invalid);
    EXPECT_NE(read.error().text.find(said), std::string::npos) << text << "\n" << read.error().text;
  }
  EXPECT_FALSE(parse_policy(std::string((std::size_t{1} << 20) + 1, ' ')));
}

TEST(Policy, OursComeBeforeTheUsers) {
  const auto users = parse_policy(whole).value();
  const auto assigned = policy_assignments(users);
  ASSERT_EQ(assigned.size(), 2U);
  EXPECT_EQ(assigned[0].assignment().ShortDebugString(),
            R"(name: "global" direction: 1 policies { name: "berth-only-local" } default_action: 2)");
  EXPECT_EQ(assigned[1].assignment().ShortDebugString(),
            R"(name: "global" direction: 2 policies { name: "berth-audiences" } policies { name: "outward" } default_action: 2)");
  const std::map<std::uint32_t, std::vector<BgpOffer>> audiences{{7, {{{IpAddress::v4(1)}, {}, 0, 0}}}};
  const auto action = [&](const RoutingPolicy& of) {
    const auto all = policies(audiences, of);
    for (const api::Policy& policy : all.policies())
      if (policy.name() == "berth-audiences") return policy.statements(0).actions().route_action();
    return 99U;
  };
  EXPECT_EQ(action({}), 1U) << "accepted at once";
  EXPECT_EQ(action(users), 0U) << "the user's are to see it too";
}

RC_GTEST_PROP(Policy, AnyTextIsSurvived, (const std::string& text)) { (void)parse_policy(text); }

}  // namespace
}  // namespace berth::gobgp
