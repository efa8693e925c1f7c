#include "speak/bfd/speaker.hpp"

#include <algorithm>
#include <utility>

namespace berth {
namespace {

using namespace std::chrono_literals;

constexpr Duration report_interval = 1s;
constexpr Duration open_again = 1s;
// The loop looks at the clock at least so often for each detection time, so that it knows when it did not run.
constexpr int looks = 4;
constexpr Duration look_at_least = 5ms;
constexpr Duration rest_patience = 1s;
constexpr Duration rest_look = 5ms;
constexpr int farewells = 3;
constexpr Duration farewell_spacing = 10ms;

}  // namespace

BfdSpeaker::BfdSpeaker(const asio::any_io_executor& executor, Timers& timers, Rng& rng, BfdTransport& transport)
    : timers_(timers), rng_(rng), transport_(transport), bell_(executor) {}

asio::awaitable<void> BfdSpeaker::run() {
  for (;;) {
    while (sessions_.empty()) co_await bell_.wait();
    co_await open();
    const Instant planned = next(timers_.now());
    co_await bell_.wait_until(timers_, planned);
    const Instant now = timers_.now();
    const Duration late = std::max(now - planned, Duration::zero());
    for (auto& [neighbor, known] : sessions_) {
      known.session.tick(now, late);
      settle(known);
    }
    if (now >= report_at_) report();
  }
}

// Where nobody asks for BFD its ports stay free for others.
asio::awaitable<void> BfdSpeaker::open() {
  while (!opened_) {
    const Result<> done = transport_.open([this](const BfdDatagram& datagram) { take(datagram); });
    if (done) {
      opened_ = true;
      trouble_.clear();
      co_return;
    }
    trouble_ = done.error().text;
    report();
    co_await timers_.sleep_for(open_again);
  }
}

Instant BfdSpeaker::next(Instant now) const {
  Instant out = std::max(report_at_, now);
  for (const auto& [neighbor, known] : sessions_) {
    if (const auto at = known.session.next()) out = std::min(out, *at);
    if (const Duration limit = known.session.detection_time(); limit != Duration::zero())
      out = std::min(out, now + std::max(limit / looks, look_at_least));
  }
  return out;
}

void BfdSpeaker::configure(const std::vector<BfdPeer>& peers) {
  const Instant now = timers_.now();
  for (auto known = sessions_.begin(); known != sessions_.end();) {
    const auto wanted = std::ranges::find(peers, known->first, &BfdPeer::neighbor);
    const auto here = known++;
    // Another port is another session.
    if (wanted == peers.end() || wanted->multihop != here->second.peer.multihop) forget(here);
  }
  for (const BfdPeer& peer : peers) {
    const auto known = sessions_.find(peer.neighbor);
    if (known == sessions_.end()) {
      sessions_.emplace(peer.neighbor, Known{peer, BfdSession{peer.settings, new_discriminator(), rng_, now}, BfdState::down, {}, {}});
      continue;
    }
    known->second.peer = peer;
    known->second.session.change(peer.settings);
    settle(known->second);
  }
  report();
  bell_.ring();
}

void BfdSpeaker::forget(std::map<IpAddress, Known>::iterator known) {
  known->second.session.end(timers_.now());
  settle(known->second);
  transport_.forget(known->first, known->second.peer.multihop);
  sessions_.erase(known);
}

asio::awaitable<void> BfdSpeaker::rest() {
  for (auto& [neighbor, known] : sessions_) known.session.rest(known.peer.restart_time);
  bell_.ring();
  const auto waits = [](const auto& item) { return item.second.session.asks_for_rest(); };
  const Instant limit = timers_.now() + rest_patience;
  while (timers_.now() < limit && std::ranges::any_of(sessions_, waits)) co_await timers_.sleep_for(rest_look);
}

asio::awaitable<void> BfdSpeaker::end() {
  std::erase_if(sessions_, [](const auto& item) { return item.second.session.rests(); });
  for (int i = 0; i < farewells && !sessions_.empty(); ++i) {
    if (i > 0) co_await timers_.sleep_for(farewell_spacing);
    for (auto& [neighbor, known] : sessions_) {
      known.session.end(timers_.now());
      settle(known);
    }
  }
}

void BfdSpeaker::take(const BfdDatagram& datagram) {
  const auto parsed = parse_bfd(datagram.bytes);
  if (const auto* reason = std::get_if<BfdDrop>(&parsed)) return drop(to_string(*reason));
  const auto& packet = std::get<BfdPacket>(parsed);
  const auto known = sessions_.find(datagram.from);
  if (known == sessions_.end() || known->second.peer.multihop != datagram.multihop) return drop("unknown_neighbor");
  if (datagram.ttl < (datagram.multihop ? known->second.peer.min_ttl : 255)) return drop("ttl");
  // A session is found by our discriminator; before the neighbour knows it, by its address.
  const std::uint32_t to = packet.your_discriminator;
  if (to != 0 && to != known->second.session.discriminator() && (is_taken(to) || !known->second.session.can_resume(packet)))
    return drop("unknown_discriminator");
  known->second.session.receive(packet, timers_.now());
  settle(known->second);
  bell_.ring();
}

// Sends what is to be sent, and tells what has changed.
void BfdSpeaker::settle(Known& known) {
  for (const BfdPacket& packet : known.session.take_packets()) {
    const Result<> sent = transport_.send(known.peer.neighbor, known.peer.multihop, to_bytes(packet));
    known.send_error = sent ? "" : sent.error().text;
  }
  const BfdState state = known.session.state();
  const BfdState before = std::exchange(known.told, state);
  if (state == before) return;
  if (before == BfdState::up) known.last_down = to_string(known.session.diagnostic());
  report();
}

std::uint32_t BfdSpeaker::new_discriminator() {
  for (;;) {
    const auto out = static_cast<std::uint32_t>(rng_.next());
    if (out != 0 && !is_taken(out)) return out;
  }
}

bool BfdSpeaker::is_taken(std::uint32_t discriminator) const {
  return std::ranges::any_of(sessions_, [&](const auto& known) { return known.second.session.discriminator() == discriminator; });
}

BfdReport BfdSpeaker::state() const {
  BfdReport out{{}, drops_, trouble_};
  for (const auto& [neighbor, known] : sessions_) {
    const BfdSession& session = known.session;
    const BfdSessionCounters& counters = session.counters();
    out.sessions.push_back({.neighbor = neighbor,
                            .up = session.state() == BfdState::up,
                            .resumed = counters.resumed != 0,
                            .state = std::string{to_string(session.state())},
                            .remote_state = std::string{to_string(session.remote_state())},
                            .remote_admin_down = session.remote_state() == BfdState::admin_down,
                            .last_down = known.last_down,
                            .send_error = known.send_error,
                            .transmit_interval = session.transmit_interval(),
                            .detection_time = session.detection_time(),
                            .sent = counters.sent,
                            .received = counters.received,
                            .ups = counters.ups,
                            .downs = counters.downs,
                            .stalls = counters.stalls});
  }
  return out;
}

void BfdSpeaker::report() {
  report_at_ = timers_.now() + report_interval;
  if (report_) report_(state());
}

}  // namespace berth
