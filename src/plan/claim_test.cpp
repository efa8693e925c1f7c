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
      {"a node proxy of the other kind", service("a", annotated(keys::node_proxy, "daemonset")), SkipReason::node_proxy},
      {"a node proxy of no kind is none", service("a", annotated(keys::node_proxy, "statefulset")), std::nullopt},
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

std::optional<IpAddress> wanted(const Service& service) { return claim_of(service).families.front().wanted; }

TEST(Claim, TheAnnotationWinsOverTheDeprecatedField) {
  const auto field = [](Service& s) { s.load_balancer_ip = "192.0.2.2"; };
  EXPECT_EQ(wanted(service("a", field)), ip("192.0.2.2"));
  EXPECT_EQ(wanted(service("a", field, annotated(keys::wanted_ip, "192.0.2.1"))), ip("192.0.2.1"));
  EXPECT_EQ(wanted(service("a", field, annotated(keys::wanted_ip, ""))), ip("192.0.2.2"));
  EXPECT_EQ(wanted(service("a")), std::nullopt);
}

TEST(Claim, AWishThatMakesNoSenseIsNamedWithItsField) {
  const auto problem = [](auto... changes) { return claim_of(service("a", changes...)).problem; };
  EXPECT_EQ(problem(annotated(keys::wanted_ip, "192.0.2.300")),
            "the wanted address \"192.0.2.300\" is not an IP address: correct annotation eip.openelb.kubesphere.io/v1alpha1");
  EXPECT_NE(problem([](Service& s) { s.load_balancer_ip = "010.0.0.1"; }).find("spec.loadBalancerIP"), std::string::npos);
  EXPECT_NE(problem(annotated(keys::wanted_ip, "2001:db8::1")).find("spec.ipFamilies"), std::string::npos);
  EXPECT_NE(problem(annotated(keys::wanted_ip, "192.0.2.1,192.0.2.2")).find("two IPv4"), std::string::npos);
  EXPECT_NE(problem(annotated(keys::ip_mode, "vip")).find("write VIP or Proxy"), std::string::npos);
  EXPECT_NE(problem(annotated(keys::sharing_key, std::string(254, 'x'))).find("longer"), std::string::npos);
  EXPECT_EQ(problem(annotated(keys::wanted_ip, " 192.0.2.1 , ")), "");
}

TEST(Claim, OneAddressForEachFamilyInTheServicesOrder) {
  EXPECT_EQ(claim_of(service("a", [](Service& s) { s.families.clear(); })).families, (std::vector<FamilyClaim>{{IpFamily::v4, {}}}));
  const auto six_first = [](Service& s) { s.families = {IpFamily::v6, IpFamily::v4}; };
  const auto prefer = [](Service& s) { s.family_policy = FamilyPolicy::prefer_dual; };
  EXPECT_EQ(claim_of(service("a", six_first)).families, (std::vector<FamilyClaim>{{IpFamily::v6, {}}})) << "SingleStack";
  EXPECT_EQ(claim_of(service("a", six_first, prefer, annotated(keys::wanted_ip, "192.0.2.1,2001:db8::1"))).families,
            (std::vector<FamilyClaim>{{IpFamily::v6, ip("2001:db8::1")}, {IpFamily::v4, ip("192.0.2.1")}}));
  EXPECT_FALSE(claim_of(service("a", six_first, prefer)).all_or_none);
  EXPECT_TRUE(claim_of(service("a", both_or_none)).all_or_none);
}

TEST(Claim, ServicesWithoutAClassAreServedWhereThatIsSaid) {
  const auto judge = [](const Service& service) { return std::holds_alternative<Claim>(judge_claim(service, ClasslessServices::all)); };
  EXPECT_TRUE(judge(service("a", without_class)));
  EXPECT_TRUE(judge(service("a")));
  EXPECT_FALSE(judge(service("a", without_class, annotated(keys::opt_in, "metallb")))) << "another's";
  EXPECT_FALSE(judge(service("a", [](Service& s) { s.load_balancer_class = "example.com/other"; })));
}

}  // namespace
}  // namespace berth
