#include "kube/certificate.hpp"

#include <gtest/gtest.h>

#include "kube/base64.hpp"

namespace berth::kube {
namespace {

using namespace std::chrono_literals;
using Days = std::chrono::duration<std::int64_t, std::ratio<86400>>;

constexpr WallTime now{std::chrono::seconds{1'800'000'000}};
WallTime in(auto time) { return {now.since_epoch + time}; }
Validity from_to(auto from, auto to) { return {in(from), in(to)}; }
const std::vector<std::string> names{"openelb-controller.here.svc", "localhost", "127.0.0.1"};

const CertificatesDue all_due{.authority = true, .serving = true, .forget = false, .urgent = true};
CertificateSet fresh() { return renewed({}, all_due, names, now); }

TEST(Base64, ComesBackAsItWas) {
  for (const std::string& text : std::vector<std::string>{"a", "ab", "abc", "abcd", std::string("\0\xFF", 2)})
    EXPECT_EQ(from_base64(to_base64(text)), text);
  EXPECT_EQ(to_base64(""), "");
  EXPECT_EQ(from_base64("aGVs\nbG8="), "hello");
  EXPECT_FALSE(from_base64("aGVsbG8"));
  EXPECT_FALSE(from_base64("!!!!"));
  EXPECT_FALSE(from_base64(""));
}

TEST(Certificate, AFreshSetServesAllNamesAndNothingIsDue) {
  const CertificateSet set = fresh();
  const CertificateFacts facts = examine(set, names);
  ASSERT_EQ(facts.authorities.size(), 1U);
  EXPECT_TRUE(facts.can_sign);
  ASSERT_TRUE(facts.serving);
  EXPECT_EQ(facts.serving->validity, from_to(-1h, Days{90}));
  EXPECT_EQ(facts.authorities.front(), from_to(-1h, Days{3653}));
  EXPECT_EQ(certificates_due(facts, now, 1h), CertificatesDue{});
  EXPECT_FALSE(examine(set, {"openelb-controller.there.svc"}).serving);
  EXPECT_FALSE(examine(set, {"127.0.0.2"}).serving);
  EXPECT_TRUE(examine(set, {"localhost"}).serving);
}

TEST(Certificate, WhatCanNotBeReadOrDoesNotBelongIsAsGoodAsNotThere) {
  const CertificateSet good = fresh();
  const CertificateSet other = fresh();
  struct Row {
    const char* name;
    CertificateSet set;
    bool can_sign, serves;
  };
  const auto but = [&](auto change) {
    CertificateSet out = good;
    change(out);
    return out;
  };
  std::string cut = good.certificate;
  cut.resize(cut.size() / 2);
  const std::string encrypted =
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhVqWqWqWqWqQICCAAw\n-----END ENCRYPTED PRIVATE "
      "KEY-----\n";
  const std::vector<Row> rows{
      {"as it is", good, true, true},
      {"empty", {}, false, false},
      {"no authority", but([](CertificateSet& s) { s.authorities.clear(); }), false, false},
      {"another authority", but([&](CertificateSet& s) { s.authorities = other.authorities; }), false, false},
      {"the authority beside another", but([&](CertificateSet& s) { s.authorities = s.authorities + other.authorities; }), false, true},
      {"another authority's key", but([&](CertificateSet& s) { s.authority_key = other.authority_key; }), false, true},
      {"no authority's key", but([](CertificateSet& s) { s.authority_key.clear(); }), false, true},
      {"another key", but([&](CertificateSet& s) { s.key = other.key; }), true, false},
      {"another certificate", but([&](CertificateSet& s) { s.certificate = other.certificate; }), true, false},
      {"another pair", but([&](CertificateSet& s) {
         s.certificate = other.certificate;
         s.key = other.key;
       }),
       true, false},
      {"half a certificate", but([&](CertificateSet& s) { s.certificate = cut; }), true, false},
      {"words", {"a", "b", "c", "d"}, false, false},
      {"an encrypted key", but([&](CertificateSet& s) { s.key = encrypted; }), true, false},
      {"words around", but([](CertificateSet& s) { s.authorities = "# mine\n" + s.authorities + "\nend\n"; }), true, true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const CertificateFacts facts = examine(row.set, names);
    EXPECT_EQ(facts.can_sign, row.can_sign);
    EXPECT_EQ(facts.serving.has_value(), row.serves);
  }
}

CertificateFacts facts_of(std::vector<Validity> authorities, std::optional<CertificateFacts::Serving> serving, bool can_sign = true) {
  return {.authorities = std::move(authorities), .can_sign = can_sign, .serving = serving};
}

TEST(Certificate, WhatIsDue) {
  using Serving = CertificateFacts::Serving;
  const Validity ca = from_to(-Days{1000}, Days{2650});
  const Validity new_ca = from_to(-1h, Days{3650});
  const Validity old_ca = from_to(-Days{3300}, Days{350});
  const Validity serving = from_to(-Days{10}, Days{80});
  const auto due = [](bool authority, bool serve, bool forget = false, bool urgent = false) {
    return CertificatesDue{.authority = authority, .serving = serve, .forget = forget, .urgent = urgent};
  };
  struct Row {
    const char* name;
    CertificateFacts facts;
    std::optional<Duration> published;
    CertificatesDue expected;
  };
  const std::vector<Row> rows{
      {"nothing there", {}, {}, due(true, true, false, true)},
      {"all well", facts_of({ca}, Serving{serving, 0}), 1h, {}},
      {"all well, not published", facts_of({ca}, Serving{serving, 0}), {}, {}},
      {"no certificate", facts_of({ca}, {}), 1h, due(false, true, false, true)},
      {"just before two thirds", facts_of({ca}, Serving{from_to(-Days{60} + 1s, Days{30} + 1s), 0}), 1h, {}},
      {"two thirds", facts_of({ca}, Serving{from_to(-Days{60}, Days{30}), 0}), 1h, due(false, true)},
      {"two thirds, not published", facts_of({ca}, Serving{from_to(-Days{60}, Days{30}), 0}), {}, due(false, true)},
      {"expired", facts_of({ca}, Serving{from_to(-Days{90}, 0s), 0}), 1h, due(false, true, false, true)},
      {"of the future", facts_of({ca}, Serving{from_to(1s, Days{90}), 0}), 1h, due(false, true, false, true)},
      {"no key to sign", facts_of({ca}, Serving{serving, 0}, false), 1h, due(true, false)},
      {"no key to sign, two thirds", facts_of({ca}, Serving{from_to(-Days{70}, Days{20}), 0}, false), 1h, due(true, false)},
      {"an authority in its last year", facts_of({old_ca}, Serving{serving, 0}), 1h, due(true, false)},
      {"an authority in its last year, and two thirds", facts_of({old_ca}, Serving{from_to(-Days{61}, Days{29}), 0}), 1h, due(true, false)},
      {"an expired authority", facts_of({from_to(-Days{3653}, 0s)}, Serving{serving, 0}), 1h, due(true, true, false, true)},
      {"a new authority, not published", facts_of({old_ca, new_ca}, Serving{serving, 0}), {}, {}},
      {"a new authority, just published", facts_of({old_ca, new_ca}, Serving{serving, 0}), 59s, {}},
      {"a new authority, published", facts_of({old_ca, new_ca}, Serving{serving, 0}), 60s, due(false, true)},
      {"a new authority, not published, two thirds", facts_of({old_ca, new_ca}, Serving{from_to(-Days{70}, Days{20}), 0}), {}, {}},
      {"a new authority, not published, expired",
       facts_of({old_ca, new_ca}, Serving{from_to(-Days{90}, 0s), 0}),
       {},
       due(false, true, false, true)},
      {"a new authority, published, but its key lost", facts_of({old_ca, new_ca}, Serving{serving, 0}, false), 1h, due(true, false)},
      {"a new authority that everybody is just learning", facts_of({old_ca, new_ca}, Serving{from_to(-2h, Days{89}), 1}), 1h, {}},
      {"a new authority that serves", facts_of({old_ca, new_ca}, Serving{from_to(-26h, Days{88}), 1}), 1h, due(false, false, true)},
      {"the old one expires meanwhile", facts_of({from_to(-Days{3653}, -1s), new_ca}, Serving{from_to(-2h, Days{89}), 1}), 1h, {}},
      {"three, the second serves", facts_of({old_ca, ca, new_ca}, Serving{serving, 1}), 1h, due(false, true)},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const CertificatesDue got = certificates_due(row.facts, now, row.published);
    EXPECT_EQ(got.authority, row.expected.authority);
    EXPECT_EQ(got.serving, row.expected.serving);
    EXPECT_EQ(got.forget, row.expected.forget);
    EXPECT_EQ(got.urgent, row.expected.urgent);
  }
}

TEST(Certificate, ARotationGoesTrustServeForgetAndIsAlwaysTrusted) {
  // A set in its authority's last year; from day to day what is due is done.
  const CertificateAndKey authority = make_authority(from_to(-Days{3300}, Days{350}));
  const CertificateAndKey serving = issue(authority, names, from_to(-Days{1}, Days{89}));
  CertificateSet set{authority.certificate, authority.key, serving.certificate, serving.key};
  std::vector<std::string> story;
  std::string told = set.authorities;   // in the API server's configuration
  std::string heard = set.authorities;  // by an API server that is an hour behind
  for (int hour = 0; hour < 24 * 4; ++hour) {
    const WallTime at = in(std::chrono::hours{hour});
    ASSERT_TRUE(examine({heard, "", set.certificate, set.key}, names).serving) << "served, but not trusted, at " << hour;
    const bool published = told == set.authorities && heard == told;
    const CertificatesDue due = certificates_due(examine(set, names), at, published ? std::optional<Duration>{1h} : std::nullopt);
    ASSERT_FALSE(due.urgent);
    heard = told;
    told = set.authorities;
    if (!due.any()) continue;
    set = renewed(set, due, names, at);
    story.emplace_back(due.authority ? "trust" : due.serving ? "serve" : "forget");
  }
  EXPECT_EQ(story, (std::vector<std::string>{"trust", "serve", "forget"}));
  const CertificateFacts facts = examine(set, names);
  EXPECT_EQ(facts.authorities.size(), 1U);
  EXPECT_TRUE(facts.can_sign);
  EXPECT_EQ(set.authorities.find(authority.certificate), std::string::npos);
}

TEST(Certificate, AuthoritiesNeverPileUp) {
  CertificateSet set = fresh();
  for (int i = 0; i < 10; ++i) {
    set.authority_key.clear();  // lost, again and again
    const CertificatesDue due = certificates_due(examine(set, names), now, std::nullopt);
    EXPECT_TRUE(due.authority);
    set = renewed(set, due, names, now);
  }
  const CertificateFacts facts = examine(set, names);
  EXPECT_LE(facts.authorities.size(), 4U);
  EXPECT_TRUE(facts.can_sign);
}

TEST(Certificate, KeysDifferEachTime) {
  const CertificateSet one = fresh();
  const CertificateSet two = fresh();
  EXPECT_NE(one.key, two.key);
  EXPECT_NE(one.authority_key, two.authority_key);
  EXPECT_NE(one.authority_key, one.key);
}

}  // namespace
}  // namespace berth::kube
