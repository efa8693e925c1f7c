#include "gobgp/log.hpp"

#include <gtest/gtest.h>

namespace berth::gobgp {
namespace {

std::string line_of(std::string_view rest) {
  return R"({"time":"2026-11-27T22:09:38Z","level":"INFO","Topic":"Peer","Key":"192.0.2.1",)" + std::string{rest} + "}";
}
std::string told(std::string_view rest) {
  const auto trouble = session_trouble(line_of(rest));
  return trouble ? trouble->text : "nothing";
}

TEST(Log, NotificationsAreTold) {
  EXPECT_EQ(told(R"("msg":"sent notification","State":"BGP_FSM_OPENSENT","Code":2,"Subcode":2,"Data":null)"),
            "NOTIFICATION sent to the router: OPEN error, bad peer AS (code 2, subcode 2)");
  EXPECT_EQ(told(R"("msg":"received notification","Code":6,"Subcode":2,"Communicated-Reason":"new\ncables","Data":"")"),
            "NOTIFICATION received from the router: cease, administrative shutdown (code 6, subcode 2): \"new cables\"");
  EXPECT_EQ(told(R"("msg":"received notification","Code":4,"Subcode":0)"),
            "NOTIFICATION received from the router: hold timer expired (code 4, subcode 0)");
  EXPECT_EQ(told(R"("msg":"received notification","Code":77,"Subcode":-1)"),
            "NOTIFICATION received from the router: unknown error (code 77, subcode -1)");
}

TEST(Log, WhoConnectsWithoutBeingKnown) {
  const auto calls = [](std::string_view rest) { return caller(line_of(rest)); };
  EXPECT_EQ(calls(R"("Topic":"Server","msg":"Can't find configuration for a new passive connection")"), IpAddress::parse("192.0.2.1"));
  EXPECT_FALSE(calls(R"("msg":"Peer Up")"));
  EXPECT_FALSE(calls(R"("msg":"Peer Up","Reason":"Can't find configuration for a new passive connection")"));
  EXPECT_EQ(caller(R"({"msg":"Can't find configuration for a new passive connection","Key":"fe80::1%eth0"})"),
            IpAddress::parse_scoped("fe80::1%eth0"));
  EXPECT_FALSE(caller(R"({"msg":"Can't find configuration for a new passive connection","Key":"192.0.2.1%eth0"})"));
  EXPECT_FALSE(caller("Can't find configuration for a new passive connection"));
}

TEST(Log, TheAsIsTheRoutersFaultOnlyIfWeSaySo) {
  EXPECT_TRUE(session_trouble(line_of(R"("msg":"sent notification","Code":2,"Subcode":2)"))->wrong_router_as);
  EXPECT_FALSE(session_trouble(line_of(R"("msg":"received notification","Code":2,"Subcode":2)"))->wrong_router_as);
  EXPECT_FALSE(session_trouble(line_of(R"("msg":"sent notification","Code":2,"Subcode":6)"))->wrong_router_as);
}

TEST(Log, WhyASessionEndedIsTold) {
  EXPECT_EQ(told(R"("msg":"Peer Down","State":"BGP_FSM_ESTABLISHED","Reason":"read-failed")"), "the connection broke");
  EXPECT_EQ(told(R"("msg":"Peer Down","State":"BGP_FSM_ESTABLISHED","Reason":"hold-timer-expired")"),
            "hold timer expired: the router said nothing for too long");
  EXPECT_TRUE(session_trouble(line_of(R"("msg":"Peer Down","Reason":"read-failed")"))->vague);
  EXPECT_EQ(told(R"("level":"WARN","msg":"prefix limit reached","Family":"ipv4-unicast")"),
            "the router sent more routes than maximumPrefixes allows");
  EXPECT_EQ(told(R"("msg":"sent notification","Code":6,"Subcode":6)"), "nothing");
  // The line before has said more.
  EXPECT_EQ(told(R"("msg":"Peer Down","State":"BGP_FSM_ESTABLISHED","Reason":"notification-sent code 6(cease) subcode 3")"), "nothing");
}

TEST(Log, WhatIsNoLineAboutASessionIsNone) {
  for (const char* line : {"", "{", "panic: \"Key\"", R"(["Key"])", R"({"Key":7})", R"({"Key":"192.0.2.1","msg":3})",
                           R"({"Key":"192.0.2.1","msg":"Peer Up"})", R"({"Key":"a name","msg":"sent notification","Code":2})"})
    EXPECT_FALSE(session_trouble(line)) << line;
  EXPECT_FALSE(session_trouble(R"({"Key":"192.0.2.1","msg":"sent notification","a":")" + std::string(20'000, 'x') + R"("})"));
}

TEST(Log, ItsLevelsAreOurs) {
  EXPECT_EQ(level_of(line_of(R"("msg":"Peer Up")")), log::Level::debug);
  EXPECT_EQ(level_of(R"({"level":"WARN","msg":"x"})"), log::Level::warning);
  EXPECT_EQ(level_of(R"({"level":"ERROR","msg":"x"})"), log::Level::error);
  EXPECT_EQ(level_of("panic: runtime error"), log::Level::error);
}

}  // namespace
}  // namespace berth::gobgp
