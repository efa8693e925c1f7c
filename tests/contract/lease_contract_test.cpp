// Leader election against a store of one Lease, in virtual time. The same with real clocks and a real
// API server is in client_contract_test.cpp.
#include <algorithm>
#include <functional>
#include <memory>

#include <fmt/format.h>

#include "kube/encode.hpp"
#include "kube/lease_elector.hpp"
#include "scripted_server.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;

class Election : public WithServer {
 protected:
  struct One {
    One(Election& test, const std::string& identity, const kube::LeaseOptions& options)
        : client(test.io_.get_executor(), test.timers_, test.rng_, test.config_of(identity)),
          elector(client,
                  test.timers_,
                  test.rng_,
                  options,
                  [this, &test](bool leading) {
                    leads = leading;
                    since = test.timers_.now();
                    ++changes;
                  }),
          tasks(test.io_.get_executor()) {
      tasks.spawn("lease", elector.run());
    }
    kube::ApiClient client;
    kube::LeaseElector elector;
    bool leads = false;
    Instant since;
    int changes = 0;
    TaskGroup tasks;
  };

  void SetUp() override {
    serve([this](const Request& request) { return store(request); });
  }
  void TearDown() override {
    for (auto& one : all_) one->tasks.cancel();
    drain();
    WithServer::TearDown();
    all_.clear();
  }

  kube::ApiConfig config_of(const std::string& identity) {
    kube::ApiConfig out = config();
    out.token = identity;
    return out;
  }
  One& start(const std::string& identity) {
    kube::LeaseOptions options;
    options.name = {"openelb-system", "openelb-controller"};
    options.identity = identity;
    options.duration = duration_;
    options.renew_deadline = renew_deadline_;
    options.retry_period = retry_period_;
    all_.push_back(std::make_unique<One>(*this, identity, options));
    return *all_.back();
  }
  // Ends it without a word, as SIGKILL does.
  void kill(One& one) {
    one.tasks.cancel();
    drain();
    ASSERT_EQ(one.tasks.size(), 0U);
  }
  void stop(One& one) {
    kill(one);
    TaskGroup end{io_.get_executor()};
    end.spawn("release", one.elector.release());
    ASSERT_TRUE(eventually([&] { return end.size() == 0; }));
  }
  [[nodiscard]] std::size_t leaders() const {
    return static_cast<std::size_t>(std::ranges::count_if(all_, [](const auto& one) { return one->leads && one->tasks.size() > 0; }));
  }

  // When the last write to the Lease came.
  [[nodiscard]] Instant renewed_at() const {
    for (auto request = requests().rbegin(); request != requests().rend(); ++request)
      if (request->method == "PUT" || request->method == "POST") return request->at;
    return {};
  }

  // The API server's part: one Lease, with versions. `faults` may answer first.
  Reply store(const Request& request) {
    if (faults)
      if (auto fault = faults(request)) return *fault;
    const std::string collection = "/apis/coordination.k8s.io/v1/namespaces/openelb-system/leases";
    if (request.method == "GET" && request.path == collection + "/openelb-controller") {
      if (!lease) return answer(404, status_json(404, "NotFound", "no such lease"));
      return answer(200, kube::encode(*lease));
    }
    auto sent = kube::read_json<kube::api::Lease>(request.body);
    if (!sent) return answer(400, "");
    if (request.method == "POST" && request.path == collection) {
      if (lease) return answer(409, status_json(409, "AlreadyExists", "it exists"));
      sent->value.metadata.uid = "u";
    } else if (request.method == "PUT" && request.path == collection + "/openelb-controller") {
      if (!lease) return answer(404, status_json(404, "NotFound", "no such lease"));
      if (lease->metadata.resourceVersion != sent->value.metadata.resourceVersion)
        return answer(409, status_json(409, "Conflict", "modified"));
    } else {
      return answer(405, "");
    }
    sent->value.metadata.resourceVersion = std::to_string(++version_);
    lease = std::move(sent->value);
    if (answers_are_lost) return {{}, Reply::Then::hang};
    return answer(request.method == "POST" ? 201 : 200, kube::encode(*lease));
  }

  std::optional<kube::api::Lease> lease;
  std::function<std::optional<Reply>(const Request&)> faults;
  bool answers_are_lost = false;
  Duration duration_ = 15s;
  Duration renew_deadline_ = 10s;
  Duration retry_period_ = 2s;
  std::vector<std::unique_ptr<One>> all_;

 private:
  int version_ = 100;
};

TEST_F(Election, OfSeveralOneLeadsAndStays) {
  for (const char* name : {"a", "b", "c"}) start(name);
  ASSERT_TRUE(eventually([&] { return leaders() == 1; }));
  const std::string first = lease->spec.holderIdentity;
  for (int second = 0; second < 120; ++second) {
    pass(1s, 100ms);
    ASSERT_EQ(leaders(), 1U);
    ASSERT_EQ(lease->spec.holderIdentity, first);
  }
  EXPECT_EQ(lease->spec.leaseDurationSeconds, 15);
  EXPECT_EQ(lease->spec.leaseTransitions, 0);
  EXPECT_FALSE(lease->spec.acquireTime.empty());
}

// Of one node.
const std::string older = "node1_0000000000000001";
const std::string younger = "node1_fedcba9876543210";

TEST_F(Election, ARestartedHolderTakesItsLeaseAtItsFirstAttempt) {
  One& before = start(older);
  ASSERT_TRUE(eventually([&] { return before.leads; }));
  kill(before);
  const Instant dead = timers_.now();
  One& after = start(younger);
  ASSERT_TRUE(eventually([&] { return after.leads; }));
  EXPECT_LE(after.since.since_start - dead.since_start, 200ms);
  EXPECT_EQ(lease->spec.holderIdentity, younger);
  EXPECT_EQ(lease->spec.leaseTransitions, 1);
}

TEST_F(Election, TwoOfOneNodeDoNotTakeItFromEachOtherAgainAndAgain) {
  One& oldest = start("node1_0000000000000000");
  ASSERT_TRUE(eventually([&] { return oldest.leads; }));
  kill(oldest);
  One& old = start(older);
  ASSERT_TRUE(eventually([&] { return old.leads; }));
  pass(3s);
  One& young = start(younger);
  ASSERT_TRUE(eventually([&] { return young.leads; }));
  ASSERT_TRUE(eventually([&] { return !old.leads; }));
  EXPECT_LE(old.since.since_start - young.since.since_start, retry_period_ * 12 / 10 + 200ms);
  pass(60s, 100ms);
  EXPECT_TRUE(young.leads);
  EXPECT_EQ(old.changes, 2);
  EXPECT_EQ(lease->spec.leaseTransitions, 2);
  kill(young);
  const Instant last = renewed_at();
  ASSERT_TRUE(eventually([&] { return old.leads; }, 50ms));
  EXPECT_GE(old.since.since_start - last.since_start, duration_) << "as for any other holder";
}

TEST_F(Election, WhoHasSeenAnotherHolderInheritsFromNobody) {
  One& other = start("node2_0000000000000001");
  ASSERT_TRUE(eventually([&] { return other.leads; }));
  One& young = start(younger);
  pass(5s);
  ASSERT_FALSE(young.leads);
  kill(other);
  lease->spec.holderIdentity = older;
  lease->metadata.resourceVersion = "999";
  const Instant taken = timers_.now();
  ASSERT_TRUE(eventually([&] { return young.leads; }, 50ms));
  EXPECT_GE(young.since.since_start - taken.since_start, duration_);
}

TEST_F(Election, APredecessorThatRenewsInBetweenKeepsIt) {
  One& old = start(older);
  ASSERT_TRUE(eventually([&] { return old.leads; }));
  bool tried = false;
  faults = [&](const Request& request) -> std::optional<Reply> {
    if (request.method != "PUT" || request.body.find(younger) == std::string::npos) return std::nullopt;
    tried = true;
    return answer(409, status_json(409, "Conflict", "modified"));
  };
  One& young = start(younger);
  ASSERT_TRUE(eventually([&] { return tried; }));
  faults = nullptr;
  pass(60s, 100ms);
  EXPECT_TRUE(old.leads);
  EXPECT_FALSE(young.leads);
  EXPECT_EQ(lease->spec.leaseTransitions, 0);
}

TEST_F(Election, AnInheritanceWithoutAnAnswerIsTriedAgain) {
  One& before = start(older);
  ASSERT_TRUE(eventually([&] { return before.leads; }));
  kill(before);
  const Instant dead = timers_.now();
  faults = [](const Request& request) -> std::optional<Reply> {
    return request.method == "PUT" ? std::optional{answer(500, "")} : std::nullopt;
  };
  One& after = start(younger);
  ASSERT_TRUE(eventually([&] { return !after.elector.error().empty(); }));
  faults = nullptr;
  ASSERT_TRUE(eventually([&] { return after.leads; }));
  EXPECT_LE(after.since.since_start - dead.since_start, retry_period_ * 12 / 10 + 200ms);
}

TEST(LeaseIdentity, IsOfTheSameNodeIfAllButItsDigitsIsTheSame) {
  EXPECT_EQ(kube::lease_identity("node1", 0x1234), "node1_0000000000001234");
  EXPECT_TRUE(kube::same_node(older, younger));
  EXPECT_TRUE(kube::same_node("a.b-c_0000000000000001", "a.b-c_0000000000000002"));
  for (const char* other :
       {"", "node1", "node1_", "node1_1", "node1_000000000000000G", "node1_FEDCBA9876543210", "node1_00000000000000001",
        "node1_0b2f5a6e-4f0e-4b0e-9d5c-0123456789ab", "node10_0000000000000001", "node_0000000000000001", "node1_x_0000000000000001"}) {
    EXPECT_FALSE(kube::same_node(older, other)) << other;
    EXPECT_FALSE(kube::same_node(other, older)) << other;
  }
  EXPECT_FALSE(kube::same_node("_0000000000000001", "_0000000000000002")) << "nowhere is no node";
}

TEST_F(Election, ReleaseHandsOverAtOnce) {
  One& a = start("a");
  ASSERT_TRUE(eventually([&] { return a.leads; }));
  One& b = start("b");
  pass(3s);
  stop(a);
  EXPECT_FALSE(a.leads);
  EXPECT_EQ(lease->spec.holderIdentity, "");
  const Instant released = timers_.now();
  ASSERT_TRUE(eventually([&] { return b.leads; }));
  EXPECT_LE(b.since.since_start - released.since_start, retry_period_ * 12 / 10 + 200ms);
  EXPECT_EQ(lease->spec.leaseTransitions, 1);
}

TEST_F(Election, ReleaseFollowsARenewalWhoseAnswerWasLost) {
  One& a = start("a");
  ASSERT_TRUE(eventually([&] { return a.leads; }));
  const std::string before = lease->metadata.resourceVersion;
  answers_are_lost = true;
  ASSERT_TRUE(eventually([&] { return lease->metadata.resourceVersion != before; }));
  answers_are_lost = false;
  stop(a);
  EXPECT_EQ(lease->spec.holderIdentity, "") << "or the next waits for its end";
}

TEST_F(Election, ReleaseNeverTakesItFromAnother) {
  One& a = start("a");
  ASSERT_TRUE(eventually([&] { return a.leads; }));
  lease->spec.holderIdentity = "b";
  lease->metadata.resourceVersion = "999";
  stop(a);
  EXPECT_EQ(lease->spec.holderIdentity, "b");
}

TEST_F(Election, ADeadLeaderIsReplacedAfterItsDurationNotBefore) {
  One& a = start("a");
  ASSERT_TRUE(eventually([&] { return a.leads; }));
  One& b = start("b");
  pass(5s);
  kill(a);
  const Instant last = renewed_at();
  ASSERT_TRUE(eventually([&] { return b.leads; }));
  const Duration waited = b.since.since_start - last.since_start;
  EXPECT_GE(waited, duration_);
  EXPECT_LE(waited, duration_ + 2 * (retry_period_ * 12 / 10) + 200ms);
}

TEST_F(Election, ALeaderThatCanNotRenewStopsByItsDeadline) {
  const std::vector<std::pair<const char*, Reply>> refusals{
      {"500", answer(500, "")},
      {"403", answer(403, status_json(403, "Forbidden", "no right"))},
      {"429, wait long", answer(429, "", "Retry-After: 3600\r\n")},
      {"no answer", Reply{{}, Reply::Then::hang}},
      {"a cut connection", Reply{{}, Reply::Then::cut}},
  };
  for (const auto& [name, refusal] : refusals) {
    SCOPED_TRACE(name);
    lease.reset();
    faults = nullptr;
    One& a = start(name);
    ASSERT_TRUE(eventually([&] { return a.leads; }));
    pass(5s);
    ASSERT_TRUE(a.leads);
    const Instant last = renewed_at();
    faults = [&refusal](const Request&) { return refusal; };
    ASSERT_TRUE(eventually([&] { return !a.leads; }));
    EXPECT_LE(a.since.since_start - last.since_start, renew_deadline_ + 200ms);
    EXPECT_FALSE(a.elector.error().empty());
    faults = nullptr;
    ASSERT_TRUE(eventually([&] { return a.leads; })) << "and comes back when it can";
    kill(a);
  }
}

TEST_F(Election, ALeaderThatAnotherReplacedStopsAsSoonAsItHears) {
  One& a = start("a");
  ASSERT_TRUE(eventually([&] { return a.leads; }));
  lease->spec.holderIdentity = "b";
  lease->metadata.resourceVersion = "999";
  const Instant taken = timers_.now();
  ASSERT_TRUE(eventually([&] { return !a.leads; }));
  EXPECT_LE(a.since.since_start - taken.since_start, retry_period_ * 12 / 10 + 200ms);
  EXPECT_EQ(a.elector.holder(), "b");
}

TEST_F(Election, ADeletedLeaseIsMadeAgainByItsLeader) {
  One& a = start("a");
  ASSERT_TRUE(eventually([&] { return a.leads; }));
  lease.reset();
  pass(30s, 50ms);
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->spec.holderIdentity, "a");
  EXPECT_EQ(a.changes, 1) << "it led all the time";
}

TEST_F(Election, ClocksOnTheWallDecideNothing) {
  // The holder's clock is years ahead or behind: it lives as long as its Lease changes, and no longer.
  for (const char* when : {"1999-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z", "nonsense"}) {
    lease.emplace();
    lease->metadata = {.name = "openelb-controller",
                       .namespace_ = "openelb-system",
                       .uid = "u",
                       .resourceVersion = "1",
                       .creationTimestamp = "",
                       .deletionTimestamp = "",
                       .generation = 0,
                       .labels = {},
                       .annotations = {},
                       .finalizers = {},
                       .ownerReferences = {}};
    lease->spec = {.holderIdentity = "other", .leaseDurationSeconds = 15, .acquireTime = when, .renewTime = when, .leaseTransitions = 4};
    One& a = start("a");
    for (int i = 2; i < 30; ++i) {
      pass(10s, 100ms);
      ASSERT_FALSE(a.leads);
      lease->metadata.resourceVersion = std::to_string(i);  // renewed
    }
    const Instant last = timers_.now();
    ASSERT_TRUE(eventually([&] { return a.leads; }, 50ms));
    EXPECT_GE(a.since.since_start - last.since_start, duration_);
    EXPECT_EQ(lease->spec.leaseTransitions, 5);
    kill(a);
  }
}

TEST_F(Election, TwoThatBeginAtOnceDoNotBothLead) {
  for (int round = 0; round < 20; ++round) {
    lease.reset();
    One& a = start("a");
    One& b = start("b");
    ASSERT_TRUE(eventually([&] { return leaders() > 0; }));
    drain();
    EXPECT_EQ(leaders(), 1U);
    kill(a);
    kill(b);
  }
}

}  // namespace
}  // namespace berth::contract
