#include "gobgp/sessions.hpp"

#include <algorithm>

#include "gobgp/translate.hpp"
#include "speak/bgp/words.hpp"

namespace berth::gobgp {

using namespace std::chrono_literals;

namespace {

// A peer that was just made anew and lost its session again rests so long: less than the 5 s after which gobgpd calls by itself.
constexpr Duration renewal_pause = 3s;
// Vague words that come so soon after better ones are about the same end.
constexpr Duration same_end = 2s;

}  // namespace

bool Sessions::note(const IpAddress& neighbor, const api::PeerState& state, Instant now) {
  Known& known = known_[neighbor];
  if (std::string text = disconnect_text(state); !text.empty()) known.error = Error{std::move(text), now};
  const bool lost = known.up && !is_established(state);
  known.up = is_established(state);
  if (lost) known.due = known.renewed ? std::max(now, *known.renewed + renewal_pause) : now;
  return lost;
}

void Sessions::note(const BgpPeerConfig& peer, const SessionTrouble& trouble, Instant now) {
  std::optional<Error>& error = known_[peer.neighbor].error;
  if (trouble.vague && error && now - error->at < same_end) return;
  error = Error{trouble.text, now};
  if (trouble.wrong_router_as) error->text += "; " + other_as_text(peer);
}

std::optional<Instant> Sessions::next_due() const {
  std::optional<Instant> out;
  for (const auto& [neighbor, known] : known_)
    if (known.due && (!out || *known.due < *out)) out = known.due;
  return out;
}

std::set<IpAddress> Sessions::take_due(Instant now) {
  std::set<IpAddress> out;
  for (auto& [neighbor, known] : known_) {
    if (!known.due || *known.due > now) continue;
    known.due.reset();
    out.insert(neighbor);
  }
  return out;
}

std::string Sessions::last_error(const IpAddress& neighbor) const {
  const auto known = known_.find(neighbor);
  return known == known_.end() || !known->second.error ? std::string{} : known->second.error->text;
}

}  // namespace berth::gobgp
