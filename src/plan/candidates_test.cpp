#include "plan/candidates.hpp"

#include <gtest/gtest.h>

#include "plan/testing/builders.hpp"

namespace berth {
namespace {

using namespace berth::testing;
using Names = std::set<std::string>;

EligibleNodes eligible(std::vector<Node> nodes, const Names& last_good = {}, const AnsweringNodes& answering = {}) {
  return eligible_nodes(world({.nodes = std::move(nodes)}).nodes, last_good, answering);
}
auto tainted(std::string_view key) {
  return [=](Node& node) { node.taints.emplace_back(key); };
}

TEST(EligibleNodes, EachExclusionHasItsReason) {
  const EligibleNodes out = eligible(
      {node("good", "10.0.0.1"), node("labelled", "10.0.0.2", labelled(keys::exclude_node, "false")),  // whatever its value
       node("scaled-down", "10.0.0.3", tainted(keys::autoscaler_taint)),
       node("out-of-service", "10.0.0.4", tainted(keys::out_of_service_taint)), node("deleted", "10.0.0.5", deleting<Node>),
       node("no-network", "10.0.0.6", [](Node& n) { n.network_unavailable = true; }), node("not-ready", "10.0.0.7", not_ready),
       node("cordoned", "10.0.0.9", tainted("node.kubernetes.io/unschedulable"))});
  EXPECT_EQ(out.nodes, (Names{"good", "cordoned"}));
  EXPECT_FALSE(out.stale);
  const std::map<std::string, NodeExclusion> expected{
      {"labelled", NodeExclusion::exclude_label},         {"scaled-down", NodeExclusion::being_removed},
      {"out-of-service", NodeExclusion::being_removed},   {"deleted", NodeExclusion::being_removed},
      {"no-network", NodeExclusion::network_unavailable}, {"not-ready", NodeExclusion::not_ready}};
  EXPECT_EQ(out.excluded, expected);
}

TEST(EligibleNodes, WhenAllAreSuspectedTheLastGoodSetStays) {
  const EligibleNodes out = eligible({node("a", "10.0.0.1", not_ready), node("b", "10.0.0.2", not_ready), node("c", "10.0.0.3", not_ready)},
                                     {"a", "b", "left"});
  EXPECT_EQ(out.nodes, (Names{"a", "b"}));
  EXPECT_TRUE(out.stale);
}

TEST(EligibleNodes, WithoutALastGoodSetAllSuspectedOnesServe) {
  const EligibleNodes out = eligible({node("a", "10.0.0.1", not_ready), node("b", "10.0.0.2", not_ready)});
  EXPECT_EQ(out.nodes, (Names{"a", "b"}));
  EXPECT_TRUE(out.stale);
}

TEST(EligibleNodes, WhatAnOperatorExcludedStaysOutEvenIfNobodyIsLeft) {
  const EligibleNodes out = eligible(
      {node("a", "10.0.0.1", labelled(keys::exclude_node, "")), node("b", "10.0.0.2", labelled(keys::exclude_node, ""))}, {"a", "b"});
  EXPECT_EQ(out.nodes, Names{});
  EXPECT_FALSE(out.stale);
}

TEST(EligibleNodes, WhoDoesNotAnswerAnyMoreIsOutThoughReady) {
  const EligibleNodes out = eligible({node("a", "10.0.0.1"), node("b", "10.0.0.2"), node("c", "10.0.0.3")}, {},
                                     {{"b", false}, {"c", true}});
  EXPECT_EQ(out.nodes, (Names{"a", "c"}));
  EXPECT_EQ(out.excluded.at("b"), NodeExclusion::unreachable);
}

TEST(EligibleNodes, WhoAnswersIsInThoughNotReady) {
  const auto nodes = [] { return std::vector{node("a", "10.0.0.1"), node("b", "10.0.0.2", not_ready), node("c", "10.0.0.3", not_ready)}; };
  EXPECT_EQ(eligible(nodes(), {}, {{"b", true}}).nodes, (Names{"a", "b"})) << "of c nothing is known";
}

TEST(EligibleNodes, IfNoneOfSeveralAnswersWeCannotAsk) {
  const auto nodes = [] { return std::vector{node("a", "10.0.0.1"), node("b", "10.0.0.2"), node("c", "10.0.0.3")}; };
  EXPECT_EQ(eligible(nodes(), {}, {{"b", false}, {"c", false}}).nodes, (Names{"a", "b", "c"}));
  EXPECT_EQ(eligible(nodes(), {}, {{"b", false}}).nodes, (Names{"a", "c"})) << "a single one is believed";
}

TEST(EligibleNodes, ALabelOutweighsAnAnswer) {
  const EligibleNodes out = eligible({node("a", "10.0.0.1"), node("b", "10.0.0.2", labelled(keys::exclude_node, ""))}, {}, {{"b", true}});
  EXPECT_EQ(out.nodes, Names{"a"});
}

TEST(Endpoints, SlicesOfOneServiceAreMerged) {
  const Service web = service("web");
  ServiceEndpoints of_web;
  add_endpoints(slice(web, {ready_on("a"), terminating_on("b")}, "1"), of_web);
  add_endpoints(slice(web, {ready_on("c"), dead_on("d")}, "2"), of_web);
  EXPECT_EQ(of_web.ready_nodes, (Names{"a", "c"}));
  EXPECT_EQ(of_web.serving_nodes, (Names{"a", "b", "c"}));
  EXPECT_TRUE(of_web.ready);
}

struct Row {
  const char* promise;
  TrafficPolicy policy;
  std::vector<Endpoint> endpoints;
  Names nodes;
  CandidateReason reason;
  bool without_endpoints = false;
};

TEST(Candidates, PolicyAndEndpointsDecide) {
  const EligibleNodes three{{"a", "b", "c"}, {}, false};
  const auto cluster = TrafficPolicy::cluster;
  const auto local = TrafficPolicy::local;
  const std::vector<Row> rows{
      {"Cluster: every node", cluster, {ready_on("a")}, {"a", "b", "c"}, CandidateReason::ok},
      {"Cluster: an endpoint outside of the eligible nodes still serves", cluster, {ready_on("x")}, {"a", "b", "c"}, CandidateReason::ok},
      {"Cluster: an endpoint without a node name serves", cluster, {ready_on("")}, {"a", "b", "c"}, CandidateReason::ok},
      {"Cluster: terminating ones serve while there is no other", cluster, {terminating_on("a")}, {"a", "b", "c"}, CandidateReason::ok},
      {"Cluster: none serves", cluster, {dead_on("a")}, {}, CandidateReason::no_endpoints},
      {"Cluster: none at all", cluster, {}, {}, CandidateReason::no_endpoints},
      {"Cluster: asked to be announced without endpoints", cluster, {}, {"a", "b", "c"}, CandidateReason::ok, true},
      {"Local: nodes with a ready endpoint", local, {ready_on("a"), ready_on("c")}, {"a", "c"}, CandidateReason::ok},
      {"Local: a terminating one leaves when another is ready", local, {ready_on("a"), terminating_on("b")}, {"a"}, CandidateReason::ok},
      {"Local: terminating ones stay while there is no other", local, {terminating_on("b")}, {"b"}, CandidateReason::ok},
      {"Local: a ready one on an excluded node does not hide a serving one",
       local,
       {ready_on("x"), terminating_on("b")},
       {"b"},
       CandidateReason::ok},
      {"Local: only on excluded nodes", local, {ready_on("x")}, {}, CandidateReason::no_local_nodes},
      {"Local: only without a node name", local, {ready_on("")}, {}, CandidateReason::no_local_nodes},
      {"Local: none serves", local, {dead_on("a")}, {}, CandidateReason::no_endpoints},
      {"Local: no packets for nobody, whatever was asked", local, {}, {}, CandidateReason::no_endpoints, true},
  };
  for (const Row& row : rows) {
    Service web = service("web", [&](Service& s) { s.external_traffic_policy = row.policy; });
    if (row.without_endpoints) web.annotations[std::string{keys::without_endpoints}] = "true";
    ServiceEndpoints endpoints;
    add_endpoints(slice(web, row.endpoints), endpoints);
    const Candidates out = candidates(web, &endpoints, three);
    EXPECT_EQ(out.nodes, row.nodes) << row.promise;
    EXPECT_EQ(to_string(out.reason), to_string(row.reason)) << row.promise;
  }
}

TEST(Candidates, AServiceWithoutSlicesHasNoEndpoints) {
  EXPECT_EQ(candidates(service("web"), nullptr, {{"a"}, {}, false}).reason, CandidateReason::no_endpoints);
}

TEST(Candidates, WithoutNodesThereIsNoCandidate) { EXPECT_EQ(candidates(service("web"), nullptr, {}).reason, CandidateReason::no_nodes); }

}  // namespace
}  // namespace berth
