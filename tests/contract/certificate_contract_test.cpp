// The webhook's certificates, several replicas on a store of one Secret and one webhook configuration, in virtual time.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/log.hpp"
#include "kube/base64.hpp"
#include "kube/certificate_keeper.hpp"
#include "scripted_server.hpp"

namespace berth::contract {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using kube::CertificateSet;

const std::vector<std::string> names{"openelb-controller.openelb-system.svc", "127.0.0.1"};
const std::string secret_path = "/api/v1/namespaces/openelb-system/secrets/openelb-admission";
const std::string configuration_path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/openelb-admission";
constexpr auto day = 24h;

class Certificates : public WithServer {
 protected:
  struct Replica {
    Replica(Certificates& test, const std::string& name)
        : client(test.io_.get_executor(), test.timers_, test.rng_, test.config_of(name)),
          keeper(
              test.io_.get_executor(),
              client,
              test.timers_,
              test.rng_,
              {.secret = {"openelb-system", "openelb-admission"},
               .configuration = "openelb-admission",
               .webhook = "validate.eip.network.kubesphere.io",
               .names = names},
              [this] { return leads; },
              [this](const CertificateSet& set) { served = set; }),
          tasks(test.io_.get_executor()) {
      tasks.spawn("certificates", keeper.run());
    }
    bool leads = false;
    CertificateSet served;
    kube::ApiClient client;
    kube::CertificateKeeper keeper;
    TaskGroup tasks;
  };

  void SetUp() override {
    log::set_sink([this](log::Level level, std::string_view event, log::Fields fields) {
      std::string line{event};
      for (const log::Field& field : fields) line += fmt::format(" {}={}", field.key, field.value);
      (level >= log::Level::warning ? warnings : lines).push_back(line);
    });
    serve([this](const Request& request) { return store(request); });
  }
  void TearDown() override {
    for (auto& one : replicas_) one->tasks.cancel();
    drain();
    log::set_sink(nullptr);
    WithServer::TearDown();
    replicas_.clear();
    for (const auto& said : {lines, warnings})
      for (const std::string& line : said) EXPECT_EQ(line.find("KEY"), std::string::npos) << line;
  }

  kube::ApiConfig config_of(const std::string& name) const {
    kube::ApiConfig out = config();
    out.token = name;
    return out;
  }
  Replica& start(const std::string& name, bool leads = false) {
    replicas_.push_back(std::make_unique<Replica>(*this, name));
    replicas_.back()->leads = leads;
    return *replicas_.back();
  }

  // ---- the API server's part

  Reply store(const Request& request) {
    if (faults)
      if (auto fault = faults(request)) return *fault;
    if (request.path == configuration_path) return configuration_store(request);
    if (request.path == secret_path && request.method == "GET")
      return secret ? answer(200, secret_json()) : answer(404, status_json(404, "NotFound", "no such Secret"));
    const json::object sent = json::parse(request.body).as_object();
    const json::object& metadata = sent.at("metadata").as_object();
    if (request.path + "/openelb-admission" == secret_path && request.method == "POST") {
      if (secret) return answer(409, status_json(409, "AlreadyExists", "it exists"));
      secret.emplace();
    } else if (request.path == secret_path && request.method == "PATCH") {
      if (!secret) return answer(404, status_json(404, "NotFound", "no such Secret"));
      if (metadata.at("resourceVersion").as_string() != std::to_string(version_))
        return answer(409, status_json(409, "Conflict", "modified"));
      EXPECT_EQ(metadata.at("uid").as_string(), "u");
    } else {
      ADD_FAILURE() << request.method << " " << request.path;
      return answer(405, "");
    }
    for (const auto& [key, value] : sent.at("stringData").as_object()) (*secret)[std::string{key}] = value.as_string().c_str();
    ++version_;
    ++writes[request.header("authorization").substr(7)];
    return answer(200, secret_json());
  }
  [[nodiscard]] std::string secret_json() const {
    json::object data;
    for (const auto& [key, value] : *secret) data[key] = kube::to_base64(value);
    return json::serialize(json::object{
        {"metadata",
         json::object{
             {"name", "openelb-admission"}, {"namespace", "openelb-system"}, {"uid", "u"}, {"resourceVersion", std::to_string(version_)}}},
        {"data", std::move(data)}});
  }
  Reply configuration_store(const Request& request) {
    if (!trusted) return answer(404, status_json(404, "NotFound", "no such configuration"));
    if (request.method == "PATCH") {
      EXPECT_EQ(request.header("content-type"), "application/strategic-merge-patch+json");
      const json::value sent = json::parse(request.body);
      EXPECT_EQ(sent.at("webhooks").as_array().size(), 1U);
      EXPECT_EQ(sent.at("webhooks").at(0).at("name").as_string(), "validate.eip.network.kubesphere.io");
      if (sent.at("metadata").at("resourceVersion").as_string() != std::to_string(configuration_version_))
        return answer(409, status_json(409, "Conflict", "modified"));
      trusted = kube::from_base64(sent.at("webhooks").at(0).at("clientConfig").at("caBundle").as_string().c_str()).value();
      ++configuration_version_;
    }
    return answer(200, fmt::format(R"({{"metadata":{{"resourceVersion":"{}"}},"webhooks":[{{"name":"other.example","clientConfig":{{}}}},)"
                                   R"({{"name":"{}","clientConfig":{{"caBundle":"{}"}}}}]}})",
                                   configuration_version_, entry, kube::to_base64(*trusted)));
  }

  // ---- what is looked at

  [[nodiscard]] static bool trusts(const std::string& bundle, const CertificateSet& served) {
    return kube::examine({bundle, "", served.certificate, served.key}, names).serving.has_value();
  }
  [[nodiscard]] bool all_trusted() const {
    return std::ranges::all_of(replicas_, [&](const auto& one) { return trusts(*trusted, one->served); });
  }
  [[nodiscard]] bool all_serve_the_secret() const {
    return secret && std::ranges::all_of(replicas_, [&](const auto& one) { return one->served.certificate == secret->at("tls.crt"); });
  }
  // In days from now.
  [[nodiscard]] kube::Validity days(int from, int until) const {
    return {{timers_.wall_now().since_epoch + day * from}, {timers_.wall_now().since_epoch + day * until}};
  }
  void put(const kube::CertificateAndKey& authority, const kube::CertificateAndKey& serving) {
    secret = {{"ca.crt", authority.certificate}, {"ca.key", authority.key}, {"tls.crt", serving.certificate}, {"tls.key", serving.key}};
    trusted = authority.certificate;
  }
  [[nodiscard]] std::size_t bundle_size() const { return kube::examine({*trusted, "", "", ""}, names).authorities.size(); }

  std::optional<std::map<std::string, std::string>> secret;
  std::optional<std::string> trusted = "";  // the bundle of the configuration; nothing: there is no configuration
  std::string entry = "validate.eip.network.kubesphere.io";
  std::function<std::optional<Reply>(const Request&)> faults;
  std::map<std::string, int> writes;  // of the Secret, by replica
  std::vector<std::string> lines, warnings;
  std::vector<std::unique_ptr<Replica>> replicas_;

 private:
  int version_ = 1;
  int configuration_version_ = 1;
};

TEST_F(Certificates, WhoComesFirstMakesThemAndAllServeTheSame) {
  for (const char* name : {"a", "b", "c"}) start(name, name[0] == 'b');
  ASSERT_TRUE(eventually([&] { return all_serve_the_secret() && all_trusted(); }));
  int all = 0;
  for (const auto& [name, count] : writes) all += count;
  EXPECT_EQ(all, 1);
  EXPECT_EQ(warnings, std::vector<std::string>{});
  const CertificateSet first = replicas_[0]->served;
  pass(120s, 5s);
  EXPECT_EQ(replicas_[2]->served, first) << "and it stays";
}

TEST_F(Certificates, ALeadersLookComesWhenItsLeadingBegins) {
  Replica& a = start("a");
  ASSERT_TRUE(eventually([&] { return all_serve_the_secret(); }));
  EXPECT_EQ(trusted, "");
  a.leads = true;
  a.keeper.look_again();
  drain();
  EXPECT_TRUE(all_trusted());
}

TEST_F(Certificates, OpenElbsSecretIsLeftInAndNotServed) {
  const kube::CertificateAndKey theirs = kube::make_authority(days(-10, 36500));
  secret = {{"cert", theirs.certificate}, {"key", theirs.key}, {"ca", theirs.certificate}};
  trusted = theirs.certificate;
  start("a", true);
  ASSERT_TRUE(eventually([&] { return all_trusted(); }));
  EXPECT_EQ(secret->at("cert"), theirs.certificate);
  EXPECT_EQ(secret->at("key"), theirs.key);
  EXPECT_EQ(secret->at("ca"), theirs.certificate);
  EXPECT_NE(replicas_[0]->served.certificate, theirs.certificate);
}

TEST_F(Certificates, AServingCertificateIsRenewedByTheLeaderAndAlwaysTrusted) {
  const auto authority = kube::make_authority(days(-900, 2700));
  const auto old = kube::issue(authority, names, days(-60, 30));
  put(authority, old);
  Replica& a = start("a");
  Replica& b = start("b");
  pass(60s, 5s);
  EXPECT_EQ(a.served.certificate, old.certificate) << "nobody leads";
  b.leads = true;
  for (int i = 0; i < 15; ++i) {
    pass(2s, 2s);
    ASSERT_TRUE(all_trusted()) << i;
  }
  EXPECT_NE(a.served.certificate, old.certificate);
  EXPECT_TRUE(all_serve_the_secret());
  EXPECT_EQ(writes, (std::map<std::string, int>{{"b", 1}}));
  EXPECT_EQ(*trusted, authority.certificate) << "the authority stays";
}

TEST_F(Certificates, AnAuthorityIsReplacedWithoutAMomentOfMistrust) {
  const auto authority = kube::make_authority(days(-3300, 350));
  const auto old = kube::issue(authority, names, days(-1, 89));
  put(authority, old);
  start("a", true);
  start("b");
  std::vector<std::string> story;
  std::deque<std::string> before(6, *trusted);  // the first is what an API server knows that is half a minute behind
  const auto watch = [&](Duration time, Duration step) {
    for (Duration passed{}; passed < time; passed += step) {
      pass(step, step);
      for (const auto& one : replicas_)
        ASSERT_TRUE(one->served.key.empty() || (trusts(*trusted, one->served) && trusts(before.front(), one->served)));
      before.pop_front();
      before.push_back(*trusted);
      const std::string stage = fmt::format("{} trusted, {}", bundle_size(),
                                            replicas_[1]->served.certificate == old.certificate ? "old" : "new");
      if (story.empty() || story.back() != stage) story.push_back(stage);
    }
  };
  watch(120s, 5s);
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_EQ(story, (std::vector<std::string>{"2 trusted, old", "2 trusted, new"}));
  EXPECT_NE(trusted->find(authority.certificate), std::string::npos) << "the old one as well, until everybody serves the new";
  EXPECT_EQ(writes, (std::map<std::string, int>{{"a", 2}}));
}

TEST_F(Certificates, AnAuthorityThatNobodyNeedsAnyMoreIsForgotten) {
  const auto old = kube::make_authority(days(-3300, 350));
  const auto authority = kube::make_authority(days(-2, 3650));
  put({old.certificate + authority.certificate, authority.key}, kube::issue(authority, names, days(-2, 88)));
  start("a", true);
  ASSERT_TRUE(eventually([&] { return *trusted == authority.certificate; }));
  EXPECT_TRUE(all_trusted());
}

TEST_F(Certificates, ADeletedSecretComesAgainWithAnotherAuthorityAndWithoutAMomentOfMistrust) {
  start("a", true);
  start("b");
  ASSERT_TRUE(eventually([&] { return all_serve_the_secret() && all_trusted(); }));
  const std::string authority = *trusted;
  secret.reset();
  const CertificateSet first = replicas_[1]->served;
  for (int i = 0; i < 24; ++i) {
    pass(5s, 5s);
    ASSERT_TRUE(all_trusted()) << i;
  }
  EXPECT_TRUE(all_serve_the_secret());
  EXPECT_NE(replicas_[1]->served.certificate, first.certificate);
  EXPECT_FALSE(trusts(authority, replicas_[1]->served)) << "it is of another authority";
}

TEST_F(Certificates, AReplicaThatDoesNotLeadHelpsOnlyWhereNothingIsServed) {
  const auto authority = kube::make_authority(days(-900, 2700));
  put(authority, kube::issue(authority, names, days(-91, 0)));
  Replica& a = start("a");
  ASSERT_TRUE(eventually([&] { return writes["a"] == 1; }));
  EXPECT_TRUE(trusts(authority.certificate, a.served));
  secret->erase("ca.key");
  pass(60s, 5s);
  EXPECT_EQ(writes["a"], 1) << "to have no key is no hurry";
}

TEST_F(Certificates, AConfigurationThatIsNotThereOrNotOursIsLeftAlone) {
  trusted.reset();
  start("a", true);
  ASSERT_TRUE(eventually([&] { return all_serve_the_secret(); }));
  pass(60s, 5s);
  trusted = "theirs";
  entry = "another.example";
  pass(60s, 5s);
  EXPECT_EQ(trusted, "theirs");
  EXPECT_EQ(warnings, std::vector<std::string>{});
  entry = "validate.eip.network.kubesphere.io";
  ASSERT_TRUE(eventually([&] { return all_trusted(); }, 1s)) << "and is filled in when it comes";
}

TEST_F(Certificates, WhatSomebodyElsePutsIntoTheConfigurationIsPutRight) {
  start("a", true);
  ASSERT_TRUE(eventually([&] { return all_serve_the_secret() && all_trusted(); }));
  trusted = "OpenELB's job was here";
  ASSERT_TRUE(eventually([&] { return all_trusted(); }, 1s));
}

TEST_F(Certificates, FaultsAreSaidOnceAndOutlived) {
  const auto authority = kube::make_authority(days(-900, 2700));
  const auto old = kube::issue(authority, names, days(-60, 30));
  put(authority, old);
  const Reply forbidden = answer(403, status_json(403, "Forbidden", "secrets is forbidden"));
  faults = [&](const Request& request) { return request.method == "PATCH" ? std::optional{forbidden} : std::nullopt; };
  Replica& a = start("a", true);
  pass(300s, 5s);
  EXPECT_EQ(a.served.certificate, old.certificate) << "what can't be renewed yet is served all the same";
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("deploy/rbac.yaml"), std::string::npos) << warnings[0];
  EXPECT_FALSE(a.keeper.error().empty());
  const std::size_t asked = requests().size();
  pass(300s, 5s);
  EXPECT_LT(requests().size() - asked, 40U) << "it does not hammer";
  int conflicts = 2;
  faults = [&](const Request& request) -> std::optional<Reply> {
    if (request.method != "PATCH" || conflicts-- <= 0) return std::nullopt;
    return answer(409, status_json(409, "Conflict", "modified"));
  };
  ASSERT_TRUE(eventually([&] { return a.served.certificate != old.certificate; }, 1s));
  EXPECT_TRUE(all_trusted());
  EXPECT_EQ(a.keeper.error(), "");
  EXPECT_EQ(warnings.size(), 1U) << "that another was faster is nothing to tell";
  EXPECT_TRUE(a.keeper.expires());
}

}  // namespace
}  // namespace berth::contract
