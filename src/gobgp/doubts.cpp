#include "gobgp/doubts.hpp"

#include <algorithm>

#include "gobgp/translate.hpp"

namespace berth::gobgp {
namespace {

using namespace std::chrono_literals;

constexpr Duration soon = 50ms, later = 1s;
constexpr Duration spacing = 5s;  // everything is a lot, where there are many routes

}  // namespace

void Doubts::changed(const RouteSteps& add, const RouteSteps& withdraw, Instant now) {
  if (!single_ || (add.empty() && withdraw.empty())) return;
  const auto note = [&](const RouteSteps& steps) {
    bool twice = false;
    for (const auto& [route, id, path] : steps) {
      const std::pair prefix{route.address, route.length()};
      if (sent_.try_emplace(prefix, route).second && !all_sent_) continue;
      doubtful_.try_emplace(prefix, route);
      twice = true;
    }
    return twice;
  };
  note(add);
  urgent_ = note(withdraw) || urgent_ || (!withdraw.empty() && (all_doubtful_ || !doubtful_.empty()));
  look_in(urgent_ ? soon : later, now);
}

// Nobody knows what changed while there was no such router.
void Doubts::told_all(Instant now) {
  all_doubtful_ = all_doubtful_ || !single_;
  single_ = all_sent_ = true;
  look_in(later, now);
}

void Doubts::not_cured(const Cure& cure, Instant now) {
  all_doubtful_ = urgent_ = true;
  for (const BgpRoute& route : cure.withdraw_again) doubtful_.try_emplace({route.address, route.length()}, route);
  look_in(later, now);
}

void Doubts::look_in(Duration time, Instant now) { look_at_ = std::min(look_at_.value_or(now + time), now + time); }

Doubts::Cure Doubts::look(const std::vector<api::Peer>& peers, const std::map<BgpRoute, BgpMirror::Path>& routes, Instant now) {
  look_at_.reset();
  Cure out;
  bool waiting = false;
  for (const api::Peer& peer : peers) {
    if (!is_established(peer.state()) || receives_several_paths(peer)) continue;
    out.tell_again.push_back(peer.conf().neighbor_address());
    waiting = waiting || peer.state().out_q() > 0 || peer.graceful_restart().local_restarting();
  }
  if (out.tell_again.empty()) {
    *this = {};
    single_ = false;
    return {};
  }
  if (waiting) {
    look_in(later, now);
    return {};
  }
  sent_.clear();
  all_sent_ = false;
  if (!all_doubtful_ && doubtful_.empty()) return {};
  if (!urgent_ && now < patient_until_) {
    look_at_ = patient_until_;
    return {};
  }
  for (const auto& [prefix, route] : doubtful_) {
    const auto there = routes.lower_bound({prefix.first, {}});
    const bool has_it = there != routes.end() && there->first.address == prefix.first;
    if (!has_it) out.withdraw_again.push_back(route);
  }
  doubtful_.clear();
  all_doubtful_ = urgent_ = false;
  patient_until_ = now + spacing;
  all_sent_ = true;
  look_in(later, now);
  return out;
}

}  // namespace berth::gobgp
