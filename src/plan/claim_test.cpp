#include "plan/claim.hpp"

#include <gtest/gtest.h>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;

void without_class(Service& s) { s.load_balancer_class.reset(); }

struct Row {
  const char* promise;
  Service service;
  std::optional<SkipReason> skip;  // absent: it claims
};

TEST(Claim, OnlyServicesThatAskBerthAreServed) {
  const std::vector<Row> rows{
      {"our class claims", service("a"), std::nullopt},
      {"without a class the annotation claims", service("a", without_class, annotated(keys::opt_in, "openelb")), std::nullopt},
      {"neither class nor annotation: not ours", service("a", without_class), SkipReason::not_opted_in},
      {"a foreign class is never touched", service("a", [](Service& s) { s.load_balancer_class = "example.com/other"; }),
       SkipReason::foreign_class},
      {"not even with the annotation",
       service("a", annotated(keys::opt_in, "openelb"), [](Service& s) { s.load_balancer_class = "example.com/other"; }),
       SkipReason::foreign_class},
      {"an empty class is a foreign one", service("a", [](Service& s) { s.load_balancer_class = ""; }), SkipReason::foreign_class},
      {"another value of the annotation", service("a", without_class, annotated(keys::opt_in, "OpenELB")),
       SkipReason::unknown_opt_in_value},
      {"an empty value of the annotation", service("a", without_class, annotated(keys::opt_in, "")), SkipReason::unknown_opt_in_value},
      {"our class needs no annotation, whatever it says", service("a", annotated(keys::opt_in, "no")), std::nullopt},
      {"a node proxy", service("a", annotated(keys::node_proxy, "deployment")), SkipReason::node_proxy},
      {"on its way out", service("a", deleting<Service>), SkipReason::deleting},
      {"another type", service("a", [](Service& s) { s.type = ServiceType::node_port; }), SkipReason::not_load_balancer},
      {"another type comes before everything else", service("a", deleting<Service>, [](Service& s) { s.type = ServiceType::cluster_ip; }),
       SkipReason::not_load_balancer},
  };
  for (const Row& row : rows) {
    const auto verdict = judge_claim(row.service);
    EXPECT_EQ(std::holds_alternative<Claim>(verdict), !row.skip) << row.promise;
    if (row.skip && std::holds_alternative<SkipReason>(verdict))
      EXPECT_EQ(to_string(std::get<SkipReason>(verdict)), to_string(*row.skip)) << row.promise;
  }
}

Claim claim_of(const Service& service) { return std::get<Claim>(judge_claim(service)); }

TEST(Claim, TheAnnotationWinsOverTheDeprecatedField) {
  const auto field = [](Service& s) { s.load_balancer_ip = "192.0.2.2"; };
  EXPECT_EQ(claim_of(service("a", field)).wanted_ip, ip("192.0.2.2"));
  EXPECT_EQ(claim_of(service("a", field, annotated(keys::wanted_ip, "192.0.2.1"))).wanted_ip, ip("192.0.2.1"));
  EXPECT_EQ(claim_of(service("a", field, annotated(keys::wanted_ip, ""))).wanted_ip, ip("192.0.2.2"));
  EXPECT_EQ(claim_of(service("a")).wanted_ip, std::nullopt);
}

TEST(Claim, AWishThatIsNoAddressIsKeptAsText) {
  const Claim claim = claim_of(service("a", annotated(keys::wanted_ip, "192.0.2.300")));
  EXPECT_EQ(claim.wanted_ip, std::nullopt);
  EXPECT_EQ(claim.wanted_text, "192.0.2.300");
}

TEST(Claim, TheFirstFamilyLeadsAndIpv4IsTheDefault) {
  EXPECT_EQ(claim_of(service("a", [](Service& s) { s.families.clear(); })).families, std::vector{IpFamily::v4});
  const Claim dual = claim_of(service("a", [](Service& s) { s.families = {IpFamily::v6, IpFamily::v4}; }));
  EXPECT_EQ(dual.family, IpFamily::v6);
  EXPECT_EQ(dual.families.size(), 2U);
}

}  // namespace
}  // namespace berth
