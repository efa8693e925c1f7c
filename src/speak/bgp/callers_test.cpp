#include "speak/bgp/callers.hpp"

#include <gtest/gtest.h>

namespace berth {
namespace {

using namespace std::chrono_literals;
using Known = std::set<IpAddress>;

const IpAddress one = *IpAddress::parse("192.0.2.1"), other = *IpAddress::parse("2001:db8::1");
const Instant start{};

TEST(Strangers, EachIsToldOnceAndNotTooMany) {
  Strangers strangers;
  EXPECT_TRUE(strangers.note(one));
  EXPECT_FALSE(strangers.note(one));
  EXPECT_EQ(strangers.take(), Known{one});
  EXPECT_TRUE(strangers.take().empty());
  for (std::uint32_t i = 0; i < Strangers::most; ++i) EXPECT_TRUE(strangers.note(IpAddress::v4(i)));
  EXPECT_FALSE(strangers.note(other));
}

TEST(Callers, OneWithoutASessionIsForgottenInTheEnd) {
  Callers callers;
  EXPECT_TRUE(callers.note(one, start));
  EXPECT_TRUE(callers.note(other, start));
  callers.keep(other, start + 9min);
  callers.forget_silent(start + Callers::patience - 1ns);
  EXPECT_EQ(callers.known(), (Known{one, other}));
  callers.forget_silent(start + Callers::patience);
  EXPECT_EQ(callers.known(), Known{other});
}

TEST(Callers, ASessionOfSomebodyElseMakesNoCaller) {
  Callers callers;
  callers.keep(one, start);
  EXPECT_TRUE(callers.known().empty());
}

TEST(Callers, TheyAreNotMoreThanSoMany) {
  Callers callers;
  for (std::uint32_t i = 0; i < Callers::most; ++i) EXPECT_TRUE(callers.note(IpAddress::v4(i + 1), start));
  EXPECT_FALSE(callers.note(one, start));
  EXPECT_TRUE(callers.note(IpAddress::v4(1), start + 1min)) << "one that is known may call again";
  callers.forget_silent(start + Callers::patience);
  EXPECT_EQ(callers.known(), Known{IpAddress::v4(1)});
  EXPECT_TRUE(callers.note(one, start + Callers::patience));
}

}  // namespace
}  // namespace berth
