// What /readyz and /healthz say. Parts are named, so that "not ready" says which part and why.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/timers.hpp"

namespace berth {

struct HealthPart {
  std::string name;
  // Empty when ready, otherwise why not, in one line.
  std::function<std::string()> trouble;
};

// "ok" or "not ok" per part, one a line; `ready` is true when every part is.
struct HealthReport {
  bool ready = true;
  std::string text;
};
HealthReport report_health(const std::vector<HealthPart>& parts);

// Liveness that is really live: the loop that does the work beats, and /healthz says when it stopped.
class Heartbeat {
 public:
  Heartbeat(Timers& timers, Duration limit) : timers_(timers), limit_(limit), last_(timers.now()) {}
  void beat() { last_ = timers_.now(); }
  [[nodiscard]] bool alive() const { return timers_.now() - last_ < limit_; }

 private:
  Timers& timers_;
  Duration limit_;
  Instant last_;
};

}  // namespace berth
