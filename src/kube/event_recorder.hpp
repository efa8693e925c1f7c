// Events for people (core/v1): queued, written one at a time when nothing of more weight is being
// written, equal ones counted up in one object.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <string>

#include "base/bell.hpp"
#include "base/timers.hpp"
#include "kube/api_client.hpp"
#include "reconcile/cluster.hpp"

namespace berth::kube {

class EventRecorder final : public EventSink {
 public:
  // `busy`: true while Events should wait.
  EventRecorder(const asio::any_io_executor& executor, ApiClient& client, Timers& timers, Rng& rng, std::function<bool()> busy);

  void post(EventRecord event) override;
  asio::awaitable<void> run();  // until cancelled

  [[nodiscard]] std::uint64_t written() const { return written_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::size_t queued() const { return queue_.size(); }

 private:
  struct Known {
    EventRecord event;
    std::string name;
    std::uint64_t count = 0;
  };
  asio::awaitable<void> write(EventRecord event);

  ApiClient& client_;
  Timers& timers_;
  Rng& rng_;
  std::function<bool()> busy_;
  Bell bell_;
  std::deque<EventRecord> queue_;
  std::list<Known> known_;  // newest first, bounded
  std::uint64_t written_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace berth::kube
