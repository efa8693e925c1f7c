// NodeProber: which nodes answer, asked every 100 ms. For next hops that have no speaker of their own: a node that dies would stay
// one until Kubernetes calls it NotReady, 40 s later.
//
// A node that never answered is unknown, and stays so: a firewall may be between. One that did and is silent for three intervals
// does not answer; it does again after three answers in a row, a second later at the earliest. When *we* did not run in time, all
// get two intervals more.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/bell.hpp"
#include "model/probe.hpp"
#include "speak/probe/transport.hpp"

namespace berth {

struct ProbeOptions {
  Duration interval = std::chrono::milliseconds{100};
  int misses = 3;                               // intervals of silence
  int answers = 3;                              // in a row, to be back
  Duration least_absence = std::chrono::seconds{1};
  std::size_t per_second = 1000;                // questions; with more nodes each is asked less often
};

class NodeProber {
 public:
  NodeProber(const asio::any_io_executor& executor, Timers& timers, ProbeTransport& transport, ProbeOptions options = {});

  asio::awaitable<void> run();  // until cancelled
  void configure(const ProbeTargets& targets);
  // Called when what answering() says has changed.
  void on_change(std::function<void(AnsweringNodes)> listener) { listener_ = std::move(listener); }
  [[nodiscard]] AnsweringNodes answering() const;

 private:
  struct Target {
    IpAddress ip;
    bool known = false;  // it has answered, once
    bool answers = false;
    Instant heard{};
    Instant lost{};
    int in_row = 0;
    bool heard_since_asked = false;
  };
  void heard(const IpAddress& ip);
  void judge(Instant now);
  void tell();
  [[nodiscard]] Duration interval() const;

  Timers& timers_;
  ProbeTransport& transport_;
  const ProbeOptions options_;
  Bell bell_;
  std::function<void(AnsweringNodes)> listener_;
  std::map<std::string, Target> targets_;
  AnsweringNodes told_;
};

}  // namespace berth
