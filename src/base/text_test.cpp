#include "base/text.hpp"

#include <gtest/gtest.h>

namespace berth {
namespace {

TEST(Clipped, LeavesAShortTextAsItIs) {
  EXPECT_EQ(clipped("", 0), "");
  EXPECT_EQ(clipped("abc", 3), "abc");
  EXPECT_EQ(clipped("abc", 100), "abc");
}

TEST(Clipped, NeverCutsWithinACharacter) {
  EXPECT_EQ(clipped("abcd", 3), "abc");
  EXPECT_EQ(clipped("aü", 2), "a");                 // two bytes
  EXPECT_EQ(clipped("€€", 5), "€");                 // three each
  EXPECT_EQ(clipped("x\xF0\x9F\x9A\xA2y", 4), "x");  // four
  EXPECT_EQ(clipped("x\xF0\x9F\x9A\xA2y", 5), "x\xF0\x9F\x9A\xA2");
  EXPECT_EQ(clipped("ü", 1), "");
}

TEST(Clipped, TakesBytesThatAreNoText) {
  EXPECT_EQ(clipped("\x80\x80\x80", 2), "");
  EXPECT_EQ(clipped(std::string_view("a\0b", 3), 2), std::string_view("a\0", 2));
}

TEST(SameLetters, ForgetsCaseAndNothingElse) {
  EXPECT_TRUE(same_letters("true", "True"));
  EXPECT_TRUE(same_letters("", ""));
  EXPECT_FALSE(same_letters("true", "true "));
  EXPECT_FALSE(same_letters("true", "tru"));
  EXPECT_FALSE(same_letters("@", "`")) << "32 apart, but no letters";
}

}  // namespace
}  // namespace berth
