#include "gobgp/doubts.hpp"

#include <algorithm>

#include "gobgp/translate.hpp"

namespace berth::gobgp {
namespace {

using namespace std::chrono_literals;

constexpr Duration soon = 50ms;     // until what was given is sent, mostly
constexpr Duration spacing = 5s;    // everything is a lot, where there are many routes
constexpr Duration patience = 1s;   // for more new paths

std::pair<IpAddress, int> prefix_of(const BgpRoute& route) { return {route.address, route.length()}; }

bool is_single(const api::Peer& peer) { return is_established(peer.state()) && receives_one_path(peer); }

}  // namespace

void Doubts::changed(const std::vector<Mirror::Told>& told, const Mirror::RouteSteps& withdrawn, Instant now) {
  if (!single_) return;
  for (const auto& [step, before, gone] : told) {
    const Prefix prefix = prefix_of(step.route);
    std::set<BgpRoute>& paths = sent_[prefix];
    if (all_sent_ && paths.empty() && before) paths.insert(*before);
    paths.insert(step.route);
    if (paths.size() < 2) continue;
    if (doubtful_.empty() && !all_doubtful_ && !gone) patient_until_ = std::max(patient_until_, now + patience);
    doubtful_.insert(prefix);
    if (gone) gone_.insert_or_assign(prefix, step);
  }
  for (const auto& step : withdrawn)
    if (all_doubtful_ || doubtful_.contains(prefix_of(step.route))) urgent_ = true;
  look_in(soon, now);
}

void Doubts::failed(const Mirror::RouteSteps& add, const Mirror::RouteSteps& withdraw, Instant now) {
  if (!single_) return;
  for (const Mirror::RouteSteps* steps : {&add, &withdraw})
    for (const auto& step : *steps) {
      sent_[prefix_of(step.route)].insert(step.route);
      doubtful_.insert(prefix_of(step.route));
    }
  urgent_ = true;
  look_in(soon, now);
}

// Nobody knows what changed just as the first such router came.
void Doubts::told_all(Instant now) {
  all_doubtful_ = all_doubtful_ || !single_;
  single_ = all_sent_ = true;
  look_in(soon, now);
}

void Doubts::seen(const std::vector<api::Peer>& peers, Instant now) {
  if (!single_ && std::ranges::any_of(peers, is_single)) told_all(now);
}

bool Doubts::may_wait(const Mirror::RouteSteps& withdraw) const {
  if (!single_ || withdraw.empty()) return false;
  return all_sent_ || std::ranges::any_of(withdraw, [this](const auto& step) { return sent_.contains(prefix_of(step.route)); });
}

void Doubts::not_cured(const Cure& cure, Instant now) {
  all_doubtful_ = urgent_ = true;
  for (const auto& step : cure.withdraw_again) gone_.try_emplace(prefix_of(step.route), step);
  look_in(patience, now);
}

void Doubts::look_later(Instant now) { look_at_ = now + patience; }

void Doubts::look_in(Duration time, Instant now) { look_at_ = std::min(look_at_.value_or(now + time), now + time); }

bool Doubts::all_is_sent(const std::vector<api::Peer>& peers) {
  single_peers_.clear();
  to_be_told_ = false;
  bool waiting = false;
  for (const api::Peer& peer : peers) {
    if (!is_single(peer)) continue;
    if (peer.graceful_restart().local_restarting()) {
      to_be_told_ = true;
      continue;
    }
    single_peers_.push_back(peer.conf().neighbor_address());
    waiting = waiting || peer.state().out_q() > 0;
  }
  if (waiting) return false;
  single_ = to_be_told_ || !single_peers_.empty();
  sent_.clear();
  all_sent_ = to_be_told_;
  return true;
}

Doubts::Cure Doubts::look(const std::vector<api::Peer>& peers, const Mirror& mirror, Instant now) {
  look_at_.reset();
  const bool sent = all_is_sent(peers);
  if (!sent || to_be_told_) look_in(patience, now);
  if (!sent) return {};
  if (!single_) {
    *this = {};
    return {};
  }
  Cure out;
  if (!all_doubtful_ && doubtful_.empty()) return out;
  if (!urgent_ && now < patient_until_) {
    look_in(patient_until_ - now, now);
    return out;
  }
  for (const auto& [prefix, step] : gone_)
    if (!mirror.best(step.route)) out.withdraw_again.push_back(step);
  out.tell_again = single_peers_;
  doubtful_.clear();
  gone_.clear();
  all_doubtful_ = urgent_ = false;
  patient_until_ = now + spacing;
  told_all(now);
  return out;
}

}  // namespace berth::gobgp
