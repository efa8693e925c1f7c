#include "process.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "base/check.hpp"

namespace berth::sim {

SimElector::SimElector(SimCluster& cluster,
                       Timers& timers,
                       SimRng& rng,
                       std::string node,
                       std::string identity,
                       const LeaseTimes& times,
                       std::function<void(bool)> changed)
    : cluster_(cluster),
      timers_(timers),
      rng_(rng),
      node_(std::move(node)),
      identity_(std::move(identity)),
      times_(times),
      changed_(std::move(changed)) {}

asio::awaitable<void> SimElector::run() {
  using namespace asio::experimental::awaitable_operators;
  for (;;) {
    if (leading_)
      co_await (attempt() || timers_.sleep_until(renewed_ + times_.renew_deadline));
    else
      co_await attempt();
    if (leading_ && timers_.now() - renewed_ >= times_.renew_deadline) set_leading(false);
    Duration wait = times_.retry_period +
                    Duration{static_cast<Duration::rep>(static_cast<double>(times_.retry_period.count()) * 0.2 * rng_.fraction())};
    if (leading_) wait = std::min(wait, std::max<Duration>(renewed_ + times_.renew_deadline - timers_.now(), std::chrono::milliseconds{1}));
    co_await timers_.sleep_for(wait);
  }
}

asio::awaitable<void> SimElector::attempt() {
  if (leading_ && co_await write()) co_return;
  auto read = co_await cluster_.read_lease("openelb-controller", times_.retry_period * 2);
  if (!read && read.error().code != ErrorCode::not_found) co_return;
  observe(read ? std::move(*read) : Lease{.name = "openelb-controller", .version = {}, .holder = "", .renewals = 0});
  const bool ours = lease_.holder == identity_;
  // A predecessor on the same node is dead: there is one process a node.
  const bool of_predecessor = lease_.holder.starts_with(node_ + "_");
  const bool free = lease_.holder.empty() || of_predecessor || timers_.now() - observed_ >= times_.duration;
  if (leading_ && !ours) set_leading(false);
  if (ours || free) co_await write();
}

asio::awaitable<bool> SimElector::write() {
  const Instant began = timers_.now();
  Lease next = lease_;
  next.holder = identity_;
  ++next.renewals;
  auto written = co_await cluster_.write_lease(std::move(next), times_.retry_period * 2);
  if (!written) co_return false;
  observe(std::move(*written));
  renewed_ = began;
  if (!leading_) set_leading(true);
  co_return true;
}

void SimElector::observe(Lease lease) {
  if (lease.version != lease_.version) observed_ = timers_.now();
  lease_ = std::move(lease);
}

void SimElector::set_leading(bool leading) {
  leading_ = leading;
  changed_(leading);
}

Process::Process(asio::io_context& io, testing::SimTimers& world, SimStore& store, const Network& network, ProcessOptions options)
    : timers(io, world),
      cluster(store, world, timers, rng_, network),
      io_(io),
      options_(std::move(options)),
      rng_(options_.seed),
      leadership_(io.get_executor()),
      tasks_(io.get_executor()) {
  keeper.on_change([this] {
    if (controller_) controller_->look_again();
  });
}

Process::~Process() { BERTH_CHECK(tasks_.size() == 0, "killed before it goes"); }

void Process::start() {
  tasks_.spawn("watch", cluster.watch(keeper));
  tasks_.spawn("leadership", follow_leadership());
  if (!options_.lease) {
    leading_ = true;
    leadership_.ring();
    return;
  }
  elector_.emplace(cluster, timers, rng_, options_.node, options_.identity, *options_.lease, [this](bool leading) {
    leading_ = leading;
    leadership_.ring();
  });
  tasks_.spawn("lease", elector_->run());
}

// As app/process.cpp follow_leadership().
asio::awaitable<void> Process::follow_leadership() {
  for (;;) {
    co_await leadership_.wait();
    if (leading_ && !controller_) {
      ControllerOptions options = options_.controller;
      options.node = options_.node;
      options.identity = options_.identity;
      controller_.emplace(io_.get_executor(), timers, rng_, cluster, events, keeper, std::move(options));
      controller_tasks_.emplace(io_.get_executor());
      controller_tasks_->spawn("controller", controller_->run());
    } else if (!leading_ && controller_) {
      controller_tasks_->cancel();
      co_await controller_tasks_->join();
      co_await controller_->ended();
      controller_.reset();
      leadership_.ring();  // it may have come back meanwhile
    }
  }
}

void Process::kill() {
  const auto let_end = [this] {
    io_.restart();
    io_.poll();
  };
  tasks_.cancel();
  let_end();
  if (controller_) {
    controller_tasks_->cancel();
    TaskGroup end{io_.get_executor()};
    end.spawn("end", controller_->ended());
    let_end();
    BERTH_CHECK(end.size() == 0 && controller_tasks_->size() == 0, "nothing of it goes on");
    controller_.reset();
    controller_tasks_.reset();
  }
  BERTH_CHECK(tasks_.size() == 0, "nothing of it goes on");
}

}  // namespace berth::sim
