// The state machine by itself, and two of them on a wire in virtual time.
#include "speak/bfd/session.hpp"

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "base/testing/seeded_rng.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

using testing::SeededRng;

constexpr Instant start{1h};
constexpr std::uint32_t ours = 7, theirs = 9;

BfdPacket from_them(BfdState state, std::uint32_t to = ours) {
  return {.state = state,
          .detect_multiplier = 3,
          .my_discriminator = theirs,
          .your_discriminator = to,
          .desired_min_tx_us = 50'000,
          .required_min_rx_us = 50'000};
}

struct Alone : ::testing::Test {
  SeededRng rng{1};
  Instant now = start;
  BfdSettings settings{.min_tx = 50ms, .min_rx = 50ms};
  BfdSession session{settings, ours, rng, start};

  std::vector<BfdPacket> hear(const BfdPacket& packet) {
    session.receive(packet, now);
    return session.take_packets();
  }
  // Runs on time until `end`; what was sent, with its times.
  std::multimap<Instant, BfdPacket> run_until(Instant end) {
    std::multimap<Instant, BfdPacket> out;
    while (session.next() && *session.next() <= end) {
      now = *session.next();
      session.tick(now, {});
      for (const BfdPacket& packet : session.take_packets()) out.emplace(now, packet);
    }
    now = end;
    return out;
  }
  void bring_up() {
    hear(from_them(BfdState::down, 0));
    hear(from_them(BfdState::init));
    ASSERT_EQ(session.state(), BfdState::up);
    BfdPacket answer = from_them(BfdState::up);
    answer.final = true;
    hear(answer);
  }
};

// RFC 5880 §6.8.6, each cell: state before, what comes, state after.
TEST(BfdSession, TheStateMachineIsThatOfTheRfc) {
  const std::vector<std::tuple<BfdState, BfdState, BfdState>> rows{{BfdState::down, BfdState::admin_down, BfdState::down},
                                                                   {BfdState::down, BfdState::down, BfdState::init},
                                                                   {BfdState::down, BfdState::init, BfdState::up},
                                                                   {BfdState::down, BfdState::up, BfdState::down},
                                                                   {BfdState::init, BfdState::admin_down, BfdState::down},
                                                                   {BfdState::init, BfdState::down, BfdState::init},
                                                                   {BfdState::init, BfdState::init, BfdState::up},
                                                                   {BfdState::init, BfdState::up, BfdState::up},
                                                                   {BfdState::up, BfdState::admin_down, BfdState::down},
                                                                   {BfdState::up, BfdState::down, BfdState::down},
                                                                   {BfdState::up, BfdState::init, BfdState::up},
                                                                   {BfdState::up, BfdState::up, BfdState::up},
                                                                   {BfdState::admin_down, BfdState::up, BfdState::admin_down}};
  for (const auto& [before, heard, after] : rows) {
    SCOPED_TRACE(std::string{to_string(before)} + " hears " + std::string{to_string(heard)});
    SeededRng rng{2};
    BfdSession session{{}, ours, rng, start};
    if (before != BfdState::down) session.receive(from_them(BfdState::down, 0), start);
    if (before == BfdState::up) session.receive(from_them(BfdState::init), start);
    if (before == BfdState::admin_down) session.end(start);
    ASSERT_EQ(session.state(), before);
    session.receive(from_them(heard), start);
    EXPECT_EQ(session.state(), after);
    if (before == BfdState::up && after == BfdState::down) EXPECT_EQ(session.diagnostic(), BfdDiagnostic::neighbor_signaled_down);
  }
}

TEST_F(Alone, WhileNotUpItIsSlow) {
  const auto sent = run_until(start + 20s);
  ASSERT_GE(sent.size(), 20U);
  ASSERT_LE(sent.size(), 28U);
  Instant last = sent.begin()->first;
  for (const auto& [at, packet] : sent) {
    EXPECT_EQ(packet.desired_min_tx_us, 1'000'000U);
    EXPECT_EQ(packet.state, BfdState::down);
    EXPECT_EQ(packet.your_discriminator, 0U);
    if (at != last) EXPECT_GE(at - last, 750ms);
    last = at;
  }
}

TEST_F(Alone, IntervalsHaveJitter) {
  bring_up();
  Instant last = now;
  Duration least = 1h, most{};
  for (int i = 0; i < 400; ++i) {
    const auto sent = run_until(now + 20ms);
    for (const auto& [at, packet] : sent) {
      if (last != start) least = std::min(least, at - last), most = std::max(most, at - last);
      last = at;
    }
    hear(from_them(BfdState::up));
  }
  EXPECT_GE(least, 37500us);
  EXPECT_LE(most, 50ms);
  EXPECT_GT(most - least, 8ms);
}

TEST_F(Alone, TheSlowerOfBothSetsTheInterval) {
  bring_up();
  EXPECT_EQ(session.transmit_interval(), 50ms);
  BfdPacket packet = from_them(BfdState::up);
  packet.required_min_rx_us = 300'000;
  packet.desired_min_tx_us = 200'000;
  packet.detect_multiplier = 5;
  hear(packet);
  EXPECT_EQ(session.transmit_interval(), 300ms);
  EXPECT_EQ(session.detection_time(), 1s) << "5 times the larger of what it sends and what we take";
  packet.required_min_rx_us = 0;
  hear(packet);
  EXPECT_TRUE(run_until(now + 900ms).empty()) << "it wants no packets";
  EXPECT_EQ(session.state(), BfdState::up);
}

TEST_F(Alone, UpIsToldByAPoll) {
  hear(from_them(BfdState::down, 0));
  const auto sent = hear(from_them(BfdState::init));
  ASSERT_EQ(sent.size(), 1U) << "at once";
  EXPECT_TRUE(sent[0].poll);
  EXPECT_EQ(sent[0].desired_min_tx_us, 50'000U);
  const auto next = run_until(now + 60ms);
  ASSERT_FALSE(next.empty());
  EXPECT_TRUE(next.begin()->second.poll) << "until it is answered";
  BfdPacket answer = from_them(BfdState::up);
  answer.final = true;
  hear(answer);
  const auto after = run_until(now + 60ms);
  ASSERT_FALSE(after.empty());
  EXPECT_FALSE(after.begin()->second.poll);
}

TEST_F(Alone, APollIsAnsweredAtOnce) {
  bring_up();
  BfdPacket packet = from_them(BfdState::up);
  packet.poll = true;
  const auto sent = hear(packet);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(sent[0].final);
  EXPECT_FALSE(sent[0].poll);
}

TEST_F(Alone, SilenceForTheDetectionTimeIsDown) {
  bring_up();
  const Instant heard = now;
  run_until(heard + 149ms);
  EXPECT_EQ(session.state(), BfdState::up);
  const auto sent = run_until(heard + 151ms);
  EXPECT_EQ(session.state(), BfdState::down);
  EXPECT_EQ(session.diagnostic(), BfdDiagnostic::detection_time_expired);
  ASSERT_FALSE(sent.empty()) << "the neighbour is told at once";
  EXPECT_EQ(sent.rbegin()->second.state, BfdState::down);
  EXPECT_EQ(sent.rbegin()->second.diagnostic, BfdDiagnostic::detection_time_expired);
  EXPECT_EQ(sent.rbegin()->second.your_discriminator, 0U);
}

TEST_F(Alone, OurOwnStallIsNoDeathOfTheNeighbour) {
  bring_up();
  now = now + 10s;  // we did not run
  session.tick(now, 10s);
  EXPECT_EQ(session.state(), BfdState::up);
  EXPECT_EQ(session.counters().stalls, 1U);
  run_until(now + 151ms);
  EXPECT_EQ(session.state(), BfdState::down) << "it gets its detection time once more, not for ever";
  EXPECT_EQ(session.counters().stalls, 1U);
}

TEST_F(Alone, ALongerIntervalWaitsForThePollsAnswer) {  // §6.8.3
  bring_up();
  session.change({.min_tx = 400ms, .min_rx = 20ms});
  EXPECT_EQ(session.transmit_interval(), 50ms) << "the neighbour still counts on the old one";
  EXPECT_EQ(session.detection_time(), 150ms) << "it may still send as we asked before";
  BfdPacket answer = from_them(BfdState::up);
  answer.final = true;
  answer.desired_min_tx_us = 10'000;
  hear(answer);
  EXPECT_EQ(session.transmit_interval(), 400ms);
  EXPECT_EQ(session.detection_time(), 60ms);
}

TEST_F(Alone, APassiveOneWaitsToBeSpokenTo) {
  BfdSession passive{{.passive = true}, ours, rng, start};
  EXPECT_FALSE(passive.next());
  passive.receive(from_them(BfdState::down, 0), start);
  EXPECT_FALSE(passive.take_packets().empty());
}

TEST_F(Alone, ARestIsAgreedUponByAPoll) {
  bring_up();
  session.rest(120s);
  EXPECT_FALSE(session.rests());
  const auto sent = run_until(now + 60ms);
  ASSERT_FALSE(sent.empty()) << "as often as before, until it is answered";
  EXPECT_TRUE(sent.begin()->second.poll);
  EXPECT_EQ(sent.begin()->second.desired_min_tx_us, 40'000'000U) << "three of them are two minutes";
  BfdPacket answer = from_them(BfdState::up);
  answer.final = true;
  hear(answer);
  EXPECT_TRUE(session.rests());
  EXPECT_TRUE(run_until(now + 100ms).empty()) << "the next one must not shorten what was agreed upon";
}

TEST_F(Alone, OneThatIsNotUpDoesNotRest) {
  session.rest(120s);
  EXPECT_FALSE(session.rests());
  EXPECT_FALSE(session.asks_for_rest());
}

TEST_F(Alone, ASessionThatTheNeighbourHasUpIsTakenOn) {
  constexpr std::uint32_t before_us = 1234;
  const auto sent = hear(from_them(BfdState::up, before_us));
  EXPECT_EQ(session.state(), BfdState::up);
  EXPECT_EQ(session.discriminator(), before_us);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].state, BfdState::up);
  EXPECT_EQ(sent[0].my_discriminator, before_us);
  EXPECT_TRUE(sent[0].poll) << "other intervals than before";
  EXPECT_EQ(session.counters().resumed, 1U);
}

TEST_F(Alone, NothingIsTakenOnOnceItHasSpoken) {
  ASSERT_FALSE(run_until(now + 2s).empty());
  hear(from_them(BfdState::up, 1234));
  EXPECT_EQ(session.state(), BfdState::down);
  EXPECT_EQ(session.discriminator(), ours);
}

TEST_F(Alone, AnEndedOneSaysAdminDownAndHearsNothing) {
  bring_up();
  session.end(now);
  const auto sent = session.take_packets();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].state, BfdState::admin_down);
  EXPECT_EQ(sent[0].diagnostic, BfdDiagnostic::administratively_down);
  EXPECT_EQ(session.counters().downs, 0U) << "no failure, so BGP is not held for it";
  hear(from_them(BfdState::down));
  EXPECT_EQ(session.state(), BfdState::admin_down);
}

// Two machines and a wire with 1 to 3 ms of delay, which loses what it is told to.
struct Pair {
  explicit Pair(std::uint64_t seed, Duration interval = 50ms) : dice(seed), settings{.min_tx = interval, .min_rx = interval} {
    begin(0, 1);
    begin(1, 2);
  }
  struct End {
    std::optional<BfdSession> session;
    bool alive = true;
    Instant down_at{};
  };

  void begin(std::size_t i, std::uint32_t discriminator) {
    ends[i].session.emplace(settings, discriminator, dice, now);
    ends[i].alive = true;
  }

  void run_for(Duration time) {
    const Instant end = now + time;
    for (;;) {
      Instant next = end;
      for (const End& one : ends)
        if (one.alive && one.session->next()) next = std::min(next, *one.session->next());
      if (!wire.empty()) next = std::min(next, wire.begin()->first);
      if (next >= end) break;
      now = std::max(now, next);
      while (!wire.empty() && wire.begin()->first <= now) {
        const auto [to, packet] = wire.begin()->second;
        wire.erase(wire.begin());
        if (ends[to].alive) look(to, [&](BfdSession& session) { session.receive(packet, now); });
      }
      for (std::size_t i : {0U, 1U})
        if (ends[i].alive) look(i, [&](BfdSession& session) { session.tick(now, {}); });
    }
    now = end;
  }
  void look(std::size_t i, const std::function<void(BfdSession&)>& act) {
    const BfdState before = ends[i].session->state();
    act(*ends[i].session);
    if (before == BfdState::up && ends[i].session->state() == BfdState::down) ends[i].down_at = now;
    for (const BfdPacket& packet : ends[i].session->take_packets()) {
      ++packets;
      const auto parsed = parse_bfd(to_bytes(packet));  // what is sent is what may be sent
      ASSERT_TRUE(std::holds_alternative<BfdPacket>(parsed));
      if (dice.fraction() >= loss) {
        const Duration delay = 1ms + std::chrono::duration_cast<Duration>(2ms * dice.fraction());
        wire.emplace(now + delay, std::pair{1 - i, std::get<BfdPacket>(parsed)});
      }
    }
  }
  [[nodiscard]] bool up() const { return ends[0].session->state() == BfdState::up && ends[1].session->state() == BfdState::up; }

  SeededRng dice;
  BfdSettings settings;
  Instant now = start;
  std::array<End, 2> ends;
  std::multimap<Instant, std::pair<std::size_t, BfdPacket>> wire;
  double loss = 0;
  int packets = 0;
};

TEST(BfdPair, ComesUpAndStaysUp) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Pair pair{seed};
    pair.run_for(3s);
    ASSERT_TRUE(pair.up()) << seed;
    pair.packets = 0;
    pair.run_for(60s);
    EXPECT_TRUE(pair.up()) << seed;
    EXPECT_EQ(pair.ends[0].session->counters().downs + pair.ends[1].session->counters().downs, 0U) << seed;
    EXPECT_GT(pair.packets, 2 * 60 * 20);
    EXPECT_LT(pair.packets, 2 * 60 * 27);
  }
}

TEST(BfdPair, ADeadOneIsNoticedInTheDetectionTimeAndComesBack) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Pair pair{seed};
    pair.run_for(5s + 1ms * static_cast<int>(seed));
    ASSERT_TRUE(pair.up()) << seed;
    pair.ends[1].alive = false;
    const Instant died = pair.now;
    pair.run_for(1s);
    ASSERT_EQ(pair.ends[0].session->state(), BfdState::down) << seed;
    EXPECT_LE(pair.ends[0].down_at - died, 153ms) << seed;
    EXPECT_GE(pair.ends[0].down_at - died, 95ms) << seed;
    // Another takes its place, with a new discriminator.
    pair.begin(1, 77);
    pair.run_for(4s);
    EXPECT_TRUE(pair.up()) << seed;
  }
}

// The one that restarts is away for up to a minute; the other one never notices.
TEST(BfdPair, ARestartAfterARestIsNotSeen) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Pair pair{seed};
    pair.run_for(5s + 1ms * static_cast<int>(seed));
    ASSERT_TRUE(pair.up()) << seed;
    pair.ends[1].session->rest(120s);
    pair.run_for(200ms);
    ASSERT_TRUE(pair.ends[1].session->rests()) << seed;
    pair.ends[1].alive = false;
    pair.run_for(1s * static_cast<int>(seed));
    pair.begin(1, 77);
    pair.run_for(4s);
    ASSERT_TRUE(pair.up()) << seed;
    EXPECT_EQ(pair.ends[0].session->counters().downs, 0U) << seed;
    EXPECT_EQ(pair.ends[1].session->discriminator(), 2U) << seed;
    EXPECT_EQ(pair.ends[0].session->detection_time(), 150ms) << seed << ": it is as short as before";
    pair.ends[1].alive = false;
    pair.run_for(1s);
    EXPECT_EQ(pair.ends[0].session->state(), BfdState::down) << seed;
  }
}

TEST(BfdPair, ARestThatLastsTooLongIsAFailure) {
  Pair pair{3};
  pair.run_for(5s);
  pair.ends[1].session->rest(30s);
  pair.run_for(200ms);
  pair.ends[1].alive = false;
  pair.run_for(29s);
  EXPECT_EQ(pair.ends[0].session->state(), BfdState::up);
  pair.run_for(2s);
  EXPECT_EQ(pair.ends[0].session->state(), BfdState::down);
}

TEST(BfdPair, WithLossItFlapsButRecovers) {
  Pair pair{5};
  pair.loss = 0.3;
  pair.run_for(60s);
  pair.loss = 0;
  pair.run_for(5s);
  EXPECT_TRUE(pair.up());
}

}  // namespace
}  // namespace berth
