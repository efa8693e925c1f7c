// Time as types. Instant is monotonic and says nothing about the calendar; WallTime is the calendar
// and is only ever shown or stored, never compared to decide.
#pragma once

#include <chrono>
#include <compare>
#include <string>

namespace berth {

using Duration = std::chrono::nanoseconds;

struct Instant {
  Duration since_start{};  // of an arbitrary origin that is never zero
  auto operator<=>(const Instant&) const = default;
  friend Instant operator+(Instant at, Duration by) { return {at.since_start + by}; }
  friend Instant operator-(Instant at, Duration by) { return {at.since_start - by}; }
  friend Duration operator-(Instant a, Instant b) { return a.since_start - b.since_start; }
};

struct WallTime {
  std::chrono::microseconds since_epoch{};
  auto operator<=>(const WallTime&) const = default;
};

// RFC 3339, UTC: "2026-11-24T15:04:05Z", with microseconds where asked (Kubernetes' MicroTime).
std::string to_rfc3339(WallTime time);
std::string to_rfc3339_micro(WallTime time);

inline double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace berth
