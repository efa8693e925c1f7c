#include "speak/bfd/session.hpp"

#include <algorithm>
#include <utility>

namespace berth {
namespace {

using namespace std::chrono_literals;

constexpr Duration slow = 1s;  // while a session is not up, at least (§6.8.3)

Duration from_us(std::uint32_t us) { return std::chrono::microseconds{us}; }
std::uint32_t to_us(Duration time) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

}  // namespace

BfdSession::BfdSession(const BfdSettings& settings, std::uint32_t discriminator, Rng& rng, Instant now)
    : settings_(settings), discriminator_(discriminator), rng_(rng), sent_at_(now) {
  // Long enough to hear of a session that can be taken on; and sessions that begin together do not send together.
  spacing_ = std::chrono::duration_cast<Duration>(slow * (1 + 0.25 * rng_.fraction()));
}

Duration BfdSession::desired_tx() const { return state_ == BfdState::up ? settings_.min_tx : std::max(settings_.min_tx, slow); }

Duration BfdSession::transmit_interval() const {
  if (remote_min_rx_ == Duration::zero()) return {};
  return std::max(old_tx_.value_or(desired_tx()), remote_min_rx_);
}

Duration BfdSession::detection_time() const { return remote_multiplier_ * std::max(old_rx_.value_or(settings_.min_rx), remote_min_tx_); }

// Whether there are periodic packets (§6.8.7).
bool BfdSession::sends() const {
  if (settings_.passive && remote_discriminator_ == 0) return false;
  if (remote_min_rx_ == Duration::zero()) return false;
  return !remote_demand_ || state_ != BfdState::up || remote_state_ != BfdState::up || polling_;
}

// 75 to 100 % of the interval (§6.8.7; the multiplier is never 1).
Duration BfdSession::jittered(Duration interval) {
  return Duration{static_cast<Duration::rep>(static_cast<double>(interval.count()) * (0.75 + 0.25 * rng_.fraction()))};
}

std::optional<Instant> BfdSession::next() const {
  std::optional<Instant> out = deadline_;
  if (sends() && !rests()) out = out ? std::min(*out, sent_at_ + spacing_) : sent_at_ + spacing_;
  return out;
}

std::vector<BfdPacket> BfdSession::take_packets() { return std::exchange(out_, {}); }

void BfdSession::send(Instant now, bool final) {
  out_.push_back({.diagnostic = diagnostic_,
                  .state = state_,
                  .poll = polling_ && !final,
                  .final = final,
                  .detect_multiplier = settings_.multiplier,
                  .my_discriminator = discriminator_,
                  .your_discriminator = remote_discriminator_,
                  .desired_min_tx_us = to_us(desired_tx()),
                  .required_min_rx_us = to_us(settings_.min_rx)});
  ++counters_.sent;
  if (final) return;  // outside of the periodic ones
  sent_at_ = now;
  spacing_ = jittered(transmit_interval());
}

// After the interval may have become shorter: the next packet is not later than that allows.
void BfdSession::adjust() {
  const Duration interval = transmit_interval();
  if (interval != Duration::zero() && spacing_ > interval) spacing_ = jittered(interval);
}

void BfdSession::become(BfdState state, BfdDiagnostic diagnostic, Instant now) {
  const BfdState before = std::exchange(state_, state);
  if (before == state) return;
  if (state == BfdState::up) ++counters_.ups;
  if (before == BfdState::up && state != BfdState::admin_down) ++counters_.downs;
  diagnostic_ = diagnostic;
  old_tx_.reset();  // only kept while up
  old_rx_.reset();
  // What we want to send changes with Up; its poll tells the neighbour. Down needs none: nobody waits for it.
  polling_ = state == BfdState::up && settings_.min_tx < slow;
  if (sends()) send(now, false);  // at once (§6.8.7)
}

bool BfdSession::can_resume(const BfdPacket& packet) const {
  return state_ == BfdState::down && counters_.sent == 0 && remote_discriminator_ == 0 && packet.state == BfdState::up &&
         packet.your_discriminator != 0 && packet.your_discriminator != discriminator_;
}

void BfdSession::receive(const BfdPacket& packet, Instant now) {
  ++counters_.received;
  if (state_ == BfdState::admin_down) return;
  const bool resumes = can_resume(packet);
  remote_discriminator_ = packet.my_discriminator;
  remote_state_ = packet.state;
  remote_demand_ = packet.demand;
  remote_min_rx_ = from_us(packet.required_min_rx_us);
  remote_min_tx_ = from_us(packet.desired_min_tx_us);
  remote_multiplier_ = packet.detect_multiplier;
  if (polling_ && packet.final) {
    polling_ = false;
    old_tx_.reset();
    old_rx_.reset();
  }
  if (resumes) {
    discriminator_ = packet.your_discriminator;
    ++counters_.resumed;
    become(BfdState::up, BfdDiagnostic::none, now);
  } else if (packet.state == BfdState::admin_down) {
    if (state_ != BfdState::down) become(BfdState::down, BfdDiagnostic::neighbor_signaled_down, now);
  } else if (state_ == BfdState::down) {
    if (packet.state == BfdState::down) become(BfdState::init, diagnostic_, now);
    if (packet.state == BfdState::init) become(BfdState::up, BfdDiagnostic::none, now);
  } else if (state_ == BfdState::init) {
    if (packet.state == BfdState::init || packet.state == BfdState::up) become(BfdState::up, BfdDiagnostic::none, now);
  } else if (packet.state == BfdState::down) {
    become(BfdState::down, BfdDiagnostic::neighbor_signaled_down, now);
  }
  deadline_ = now + detection_time();
  adjust();
  if (packet.poll) send(now, true);
}

void BfdSession::tick(Instant now, Duration late) {
  if (deadline_ && now >= *deadline_) {
    const Duration limit = detection_time();
    if (late >= limit / 2) {
      ++counters_.stalls;
      deadline_ = now + limit;
    } else {
      deadline_.reset();
      remote_discriminator_ = 0;
      remote_demand_ = false;
      remote_min_rx_ = std::chrono::microseconds{1};
      if (state_ == BfdState::init || state_ == BfdState::up) become(BfdState::down, BfdDiagnostic::detection_time_expired, now);
    }
  }
  if (sends() && !rests() && now >= sent_at_ + spacing_) send(now, false);
}

void BfdSession::change(const BfdSettings& settings) {
  if (settings == settings_) return;
  const Duration tx = transmit_interval(), rx = old_rx_.value_or(settings_.min_rx);
  settings_ = settings;
  if (state_ != BfdState::up) return adjust();  // the next packet says it
  if (transmit_interval() > tx && tx != Duration::zero()) old_tx_ = tx;
  if (settings_.min_rx < rx) old_rx_ = rx;
  polling_ = true;
  adjust();
}

void BfdSession::rest(Duration time) {
  if (state_ != BfdState::up || time == Duration::zero()) return;
  BfdSettings long_ones = settings_;
  long_ones.min_tx = std::max(time / settings_.multiplier, settings_.min_tx);
  change(long_ones);
  resting_ = true;
}

void BfdSession::end(Instant now) {
  if (state_ == BfdState::admin_down) return sends() ? send(now, false) : void();
  become(BfdState::admin_down, BfdDiagnostic::administratively_down, now);
  deadline_.reset();
}

}  // namespace berth
