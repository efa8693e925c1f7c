#include "bird/log.hpp"

#include <gtest/gtest.h>

namespace berth::bird {
namespace {

TEST(Log, WhoConnectsWithoutBeingKnown) {
  EXPECT_EQ(caller("bird: 2026-11-28 <WARN> BGP: Unexpected connect from unknown address 192.0.2.7 (port 40123)"),
            IpAddress::parse("192.0.2.7"));
  EXPECT_EQ(caller("<WARN> BGP: Unexpected connect from unknown address 2001:db8::7 (port 1)"), IpAddress::parse("2001:db8::7"));
  for (const char* line : {"", "<WARN> BGP: Unexpected connect from unknown address ", "<INFO> 192.0.2.7",
                           "<WARN> BGP: Unexpected connect from unknown address fe80::1%eth0 (port 1)",
                           "<WARN> BGP: Unexpected connect from unknown address nobody"})
    EXPECT_FALSE(caller(line)) << line;
}

TEST(Log, LevelsAreBirds) {
  EXPECT_EQ(level_of("<ERR> bird.conf:3"), log::Level::error);
  EXPECT_EQ(level_of("<WARN> BGP: Unexpected connect"), log::Level::warning);
  EXPECT_EQ(level_of("<INFO> Reconfigured"), log::Level::debug);
  EXPECT_EQ(level_of("bird: bird.conf:3:1 syntax error"), log::Level::warning);
}

}  // namespace
}  // namespace berth::bird
