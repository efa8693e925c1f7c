#include "kube/event_recorder.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.hpp"
#include "kube/api_types.hpp"
#include "kube/encode.hpp"

namespace berth::kube {
namespace {

constexpr std::size_t max_queued = 4096;
constexpr std::size_t max_known = 512;
constexpr auto busy_wait = std::chrono::milliseconds{50};
constexpr int max_busy_waits = 600;  // half a minute: then Events go out all the same

}  // namespace

EventRecorder::EventRecorder(const asio::any_io_executor& executor, ApiClient& client, Timers& timers, Rng& rng, std::function<bool()> busy)
    : client_(client), timers_(timers), rng_(rng), busy_(std::move(busy)), bell_(executor) {}

void EventRecorder::post(EventRecord event) {
  log::info("event", {{"object", event.object.kind + " " + event.object.space + "/" + event.object.name},
                      {"reason", event.reason},
                      {"message", event.message}});
  if (queue_.size() >= max_queued) {
    queue_.pop_front();
    ++dropped_;
  }
  queue_.push_back(std::move(event));
  bell_.ring();
}

asio::awaitable<void> EventRecorder::run() {
  for (;;) {
    while (queue_.empty()) co_await bell_.wait();
    for (int waits = 0; busy_() && waits < max_busy_waits; ++waits) co_await timers_.sleep_for(busy_wait);
    EventRecord event = std::move(queue_.front());
    queue_.pop_front();
    co_await write(std::move(event));
  }
}

asio::awaitable<void> EventRecorder::write(EventRecord event) {
  const std::string space = event.object.space.empty() ? "default" : event.object.space;
  const std::string events = "/api/v1/namespaces/" + space + "/events";
  const auto known = std::ranges::find(known_, event, &Known::event);
  if (known != known_.end()) {
    std::string body = repeated_event_patch(known->count + 1, timers_.wall_now());
    const auto patched = co_await client_.patch_only(PatchKind::merge, events + "/" + known->name, std::move(body));
    if (patched) {
      ++known->count;
      ++written_;
      known_.splice(known_.begin(), known_, known);
      co_return;
    }
    known_.erase(known);  // it expired, most likely: write a new one
    if (patched.error().code != ErrorCode::not_found) {
      ++dropped_;
      co_return;
    }
  }
  const std::string name = fmt::format("{}.{:016x}", event.object.name.substr(0, 200), rng_.next());
  std::string body = new_event(event, space, name, timers_.wall_now());
  const auto made = co_await client_.create<api::Workload>(events, std::move(body));
  if (!made) {
    ++dropped_;
    log::warning("event_not_written", {{"reason", event.reason}, {"error", made.error().text}});
    co_return;
  }
  ++written_;
  known_.push_front({std::move(event), name, 1});
  if (known_.size() > max_known) known_.pop_back();
}

}  // namespace berth::kube
