#include "speak/bgp/callers.hpp"

namespace berth {

bool Callers::note(const IpAddress& caller, Instant now) {
  if (!known_.contains(caller) && known_.size() >= most) return false;
  known_.insert(caller);
  heard_of_[caller] = now;
  return true;
}

void Callers::keep(const IpAddress& caller, Instant now) {
  if (const auto known = heard_of_.find(caller); known != heard_of_.end()) known->second = now;
}

void Callers::forget_silent(Instant now) {
  std::erase_if(heard_of_, [&](const auto& one) { return now - one.second >= patience; });
  std::erase_if(known_, [&](const IpAddress& one) { return !heard_of_.contains(one); });
}

}  // namespace berth
