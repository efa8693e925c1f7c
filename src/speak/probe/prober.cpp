#include "speak/probe/prober.hpp"

#include <algorithm>
#include <utility>

namespace berth {

NodeProber::NodeProber(const asio::any_io_executor& executor, Timers& timers, ProbeTransport& transport, ProbeOptions options)
    : timers_(timers), transport_(transport), options_(options), bell_(executor) {
  transport_.on_answer([this](const IpAddress& ip) { heard(ip); });
}

Duration NodeProber::interval() const {
  const Duration fair = Duration{std::chrono::seconds{1}} * static_cast<int>(targets_.size()) / static_cast<int>(options_.per_second);
  return std::max(options_.interval, fair);
}

asio::awaitable<void> NodeProber::run() {
  for (;;) {
    while (targets_.empty()) co_await bell_.wait();
    const Instant planned = timers_.now() + interval();
    co_await timers_.sleep_until(planned);
    const Instant now = timers_.now();
    if (now - planned >= interval())  // we did not run
      for (auto& [node, target] : targets_) target.heard = std::max(target.heard, now - interval());
    judge(now);
    for (auto& [node, target] : targets_) {
      if (!std::exchange(target.heard_since_asked, false)) target.in_row = 0;
      transport_.ask(target.ip);
    }
  }
}

void NodeProber::configure(const ProbeTargets& targets) {
  std::erase_if(targets_, [&](const auto& item) {
    const auto wanted = targets.find(item.first);
    const bool goes = wanted == targets.end() || wanted->second != item.second.ip;
    if (goes) transport_.forget(item.second.ip);
    return goes;
  });
  for (const auto& [node, ip] : targets) targets_.try_emplace(node, Target{.ip = ip});
  tell();
  bell_.ring();
}

void NodeProber::heard(const IpAddress& ip) {
  const Instant now = timers_.now();
  bool changed = false;
  for (auto& [node, target] : targets_) {
    if (target.ip != ip) continue;
    target.heard = now;
    target.heard_since_asked = true;
    ++target.in_row;
    const bool is_new = !std::exchange(target.known, true);
    const bool is_back = !target.answers && target.in_row >= options_.answers && now - target.lost >= options_.least_absence;
    if (!is_new && !is_back) continue;
    target.answers = true;
    changed = true;
  }
  if (changed) tell();
}

void NodeProber::judge(Instant now) {
  for (auto& [node, target] : targets_) {
    if (!target.answers || now - target.heard < interval() * options_.misses) continue;
    target.answers = false;
    target.lost = now;
    target.in_row = 0;
  }
  tell();
}

AnsweringNodes NodeProber::answering() const {
  AnsweringNodes out;
  for (const auto& [node, target] : targets_)
    if (target.known) out.emplace(node, target.answers);
  return out;
}

void NodeProber::tell() {
  AnsweringNodes now = answering();
  if (now == told_) return;
  told_ = now;
  if (listener_) listener_(std::move(now));
}

}  // namespace berth
