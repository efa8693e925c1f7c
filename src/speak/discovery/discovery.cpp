#include "speak/discovery/discovery.hpp"

#include <algorithm>
#include <optional>

#include "wire/router_discovery.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

// RFC 4861 §6.2.1 and §10; the interval is what routers take that find each other so.
constexpr Duration interval = 10s;
constexpr Duration spread = 2500ms;  // so much earlier, by chance
constexpr Duration initial_interval = 1s;
constexpr int initial_advertisements = 3;
constexpr Duration between_answers = 3s;
constexpr Duration longest_answer = 500ms;
constexpr Duration try_again_after = 5s;

}  // namespace

RouterDiscovery::RouterDiscovery(const asio::any_io_executor& executor, Timers& timers, Rng& rng, DiscoveryTransport& transport)
    : timers_(timers), rng_(rng), transport_(transport), bell_(executor) {}

void RouterDiscovery::want(const std::set<Zone>& interfaces) {
  std::erase_if(links_, [&](const auto& one) {
    if (interfaces.contains(one.first)) return false;
    transport_.close(one.first);
    problems_.erase(one.first);
    return true;
  });
  for (const Zone& interface : interfaces) links_.try_emplace(interface, Link{.due = timers_.now()});
  bell_.ring();
}

asio::awaitable<void> RouterDiscovery::run() {
  for (;;) {
    std::optional<Instant> next;
    for (auto& [interface, link] : links_) {
      if (link.due <= timers_.now()) look(interface, link);
      next = std::min(next.value_or(link.due), link.due);
    }
    co_await bell_.wait_until(timers_, next);
  }
}

void RouterDiscovery::look(const Zone& interface, Link& link) {
  Result<> done;
  if (!link.open) {
    done = transport_.open(interface, [this, interface](const RouterDatagram& datagram) { receive(interface, datagram); });
    link.open = done.has_value();
    link.initial_left = initial_advertisements;
    if (done) done = transport_.send(interface, true, router_solicitation);
  }
  if (done) done = advertise(interface, link);
  std::string problem;
  if (!done) {
    problem = done.error().text;
    transport_.close(interface);  // it may be another one next time
    link.open = false;
    link.due = timers_.now() + try_again_after;
  }
  const auto before = problems_.find(interface);
  if (problem == (before == problems_.end() ? "" : before->second)) return;
  if (problem.empty())
    problems_.erase(before);
  else
    problems_.insert_or_assign(interface, std::move(problem));
  if (problem_) problem_();
}

Result<> RouterDiscovery::advertise(const Zone& interface, Link& link) {
  const Instant now = timers_.now();
  link.advertised = now;
  link.due = now + (link.initial_left > 0 ? initial_interval : interval - some(spread));
  link.initial_left = std::max(link.initial_left - 1, 0);
  return transport_.send(interface, false, router_advertisement);
}

void RouterDiscovery::receive(const Zone& interface, const RouterDatagram& datagram) {
  const auto message = parse_router_message(datagram.bytes, datagram.hop_limit);
  const auto link = links_.find(interface);
  if (!message || link == links_.end()) return;
  if (*message == RouterMessage::advertisement) {
    if (datagram.from.is_link_local() && router_) router_(datagram.from.in(interface));
    return;
  }
  const Instant answer = std::max(timers_.now() + some(longest_answer), link->second.advertised + between_answers);
  if (answer >= link->second.due) return;
  link->second.due = answer;
  bell_.ring();
}

}  // namespace berth
