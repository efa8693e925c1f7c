#include "gobgp/sessions.hpp"

#include <gtest/gtest.h>

namespace berth::gobgp {
namespace {

using namespace std::chrono_literals;

const IpAddress router = *IpAddress::parse("192.0.2.1"), other = *IpAddress::parse("192.0.2.2");
const Instant start{};

api::PeerState state_of(bool established) {
  api::PeerState out;
  out.set_session_state(established ? 6 : 3);
  return out;
}

BgpPeerConfig peer() {
  BgpPeerConfig out;
  out.neighbor = router;
  out.peer_as = 65000;
  return out;
}

using Neighbors = std::set<IpAddress>;

TEST(Sessions, APeerThatWasNeverUpIsNotMadeAnew) {
  Sessions sessions;
  EXPECT_FALSE(sessions.note(router, state_of(false), start));
  EXPECT_FALSE(sessions.next_due());
  EXPECT_EQ(sessions.take_due(start + 1h), Neighbors{});
}

TEST(Sessions, ALostOneIsDueAtOnceAndOnlyOnce) {
  Sessions sessions;
  EXPECT_FALSE(sessions.note(router, state_of(true), start));
  EXPECT_FALSE(sessions.note(router, state_of(true), start + 1s));
  EXPECT_FALSE(sessions.next_due());
  EXPECT_TRUE(sessions.note(router, state_of(false), start + 2s));
  EXPECT_FALSE(sessions.note(router, state_of(false), start + 2s)) << "told twice";
  EXPECT_EQ(sessions.next_due(), start + 2s);
  EXPECT_EQ(sessions.take_due(start + 2s), Neighbors{router});
  EXPECT_FALSE(sessions.next_due());
}

TEST(Sessions, OneThatIsLostAgainRestsFirst) {
  Sessions sessions;
  sessions.note(router, state_of(true), start);
  sessions.note(other, state_of(true), start);
  sessions.note(router, state_of(false), start);
  sessions.take_due(start);
  sessions.renewed(router, start);
  sessions.note(router, state_of(true), start + 100ms);
  sessions.note(router, state_of(false), start + 200ms);
  EXPECT_EQ(sessions.next_due(), start + 3s);
  EXPECT_EQ(sessions.take_due(start + 2s), Neighbors{});
  sessions.note(other, state_of(false), start + 2s);
  EXPECT_EQ(sessions.next_due(), start + 2s) << "another one does not wait for it";
  EXPECT_EQ(sessions.take_due(start + 3s), (Neighbors{router, other}));
  // Long ago: it is due when it was lost.
  sessions.note(router, state_of(true), start + 4s);
  sessions.note(router, state_of(false), start + 10s);
  EXPECT_EQ(sessions.next_due(), start + 10s);
}

TEST(Sessions, WhatSaysMoreStands) {
  Sessions sessions;
  EXPECT_EQ(sessions.last_error(router), "");
  sessions.note(peer(), {router, "hold timer expired (code 4, subcode 0)"}, start);
  sessions.note(peer(), {.neighbor = router, .text = "the connection broke", .vague = true}, start + 1999ms);
  EXPECT_EQ(sessions.last_error(router), "hold timer expired (code 4, subcode 0)");
  sessions.note(peer(), {.neighbor = router, .text = "the connection broke", .vague = true}, start + 2s);
  EXPECT_EQ(sessions.last_error(router), "the connection broke") << "that is another end";
  sessions.note(peer(), {router, "hold timer expired"}, start + 2s);
  EXPECT_EQ(sessions.last_error(router), "hold timer expired");
  api::PeerState state = state_of(false);
  state.set_disconnect_message("by request");
  sessions.note(router, state, start + 3s);
  EXPECT_EQ(sessions.last_error(router), "by request");
  EXPECT_EQ(sessions.last_error(other), "");
}

TEST(Sessions, TheAsThatWasExpectedIsNamed) {
  Sessions sessions;
  sessions.note(peer(), {.neighbor = router, .text = "OPEN error", .wrong_router_as = true}, start);
  EXPECT_EQ(sessions.last_error(router), "OPEN error; it has another AS than the 65000 that its BgpPeer says");
}

TEST(Sessions, OfAPeerThatIsGoneNothingIsKept) {
  Sessions sessions;
  sessions.note(router, state_of(true), start);
  sessions.note(router, state_of(false), start);
  sessions.note(peer(), {router, "hold timer expired"}, start);
  sessions.forget(router);
  EXPECT_EQ(sessions.last_error(router), "");
  EXPECT_FALSE(sessions.next_due());
}

}  // namespace
}  // namespace berth::gobgp
