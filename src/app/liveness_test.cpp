// The second thread as it really is, on loopback: what is asked is answered on the first one, and its end leaves nothing behind
// (AddressSanitizer looks on).
#include "app/liveness.hpp"

#include <chrono>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace berth {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t closed_port = 1;  // a refusal is an answer too
const IpAddress loopback = IpAddress::v4(0x7F000001);

struct LivenessTest : ::testing::Test {
  asio::io_context home{1};
  std::optional<AnsweringNodes> answering;
  std::optional<BfdReport> bfd;
  std::optional<Liveness> liveness{std::in_place, home.get_executor(), closed_port,
                                   Liveness::Listeners{.bfd = [this](BfdReport report) { bfd = std::move(report); },
                                                       .probes = [this](AnsweringNodes nodes) { answering = std::move(nodes); }}};

  template <class Done>
  bool eventually(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      home.restart();
      home.run_one_for(20ms);
    }
    return done();
  }
};

TEST_F(LivenessTest, TellsWhoAnswers) {
  liveness->configure(ProbeTargets{{"node", loopback}});
  ASSERT_TRUE(eventually([&] { return answering.has_value(); }));
  EXPECT_EQ(*answering, (AnsweringNodes{{"node", true}}));
}

TEST_F(LivenessTest, EndsInOrder) {
  liveness->configure({BfdPeer{.neighbor = loopback}});
  ASSERT_TRUE(eventually([&] { return bfd.has_value(); }));  // with the port, or with the trouble that another has it
  TaskGroup tasks{home.get_executor()};
  bool ended = false;
  tasks.spawn("end", [](Liveness& what, bool& done) -> asio::awaitable<void> {
    co_await what.end();
    done = true;
  }(*liveness, ended));
  EXPECT_TRUE(eventually([&] { return ended; }));
  liveness.reset();
}

TEST_F(LivenessTest, EndsInTheMiddleOfEverything) {
  liveness->configure(ProbeTargets{{"node", loopback}});
  liveness->configure({BfdPeer{.neighbor = loopback}});
  liveness.reset();
  home.restart();
  home.poll();  // what was under way finds nobody
}

}  // namespace
}  // namespace berth
