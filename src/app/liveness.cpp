#include "app/liveness.hpp"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "os/system_clock.hpp"

namespace berth {

struct Liveness::There {
  There(const asio::any_io_executor& executor, std::uint16_t probe_port, Listeners listeners)
      : timers(make_system_timers(executor)),
        rng(make_system_rng()),
        sockets(executor, *rng),
        bfd(executor, *timers, *rng, sockets),
        probes(executor, probe_port),
        prober(executor, *timers, probes),
        tasks(executor) {
    bfd.on_report(std::move(listeners.bfd));
    prober.on_change(std::move(listeners.probes));
    tasks.spawn("bfd", bfd.run());
    tasks.spawn("probes", prober.run());
  }
  asio::awaitable<void> end() {
    bfd.on_report(nullptr);
    prober.on_change(nullptr);
    tasks.cancel();
    co_await tasks.join();
    co_await bfd.end();
  }

  std::unique_ptr<Timers> timers;
  std::unique_ptr<Rng> rng;
  BfdSockets sockets;
  BfdSpeaker bfd;
  TcpProbes probes;
  NodeProber prober;
  TaskGroup tasks;
};

Liveness::Liveness(asio::any_io_executor home, std::uint16_t probe_port, Listeners listeners)
    : listeners_(std::make_shared<Listeners>(std::move(listeners))) {
  // What is told there is said here, unless we are gone by then.
  const auto relay = [to = std::move(home), weak = std::weak_ptr{listeners_}](auto member) {
    return [to, weak, member](auto what) {
      asio::post(to, [weak, member, what = std::move(what)]() mutable {
        if (const auto still = weak.lock()) ((*still).*member)(std::move(what));
      });
    };
  };
  asio::post(thread_.executor(), [this, probe_port, relay] {
    there_ = std::make_unique<There>(thread_.executor(), probe_port, Listeners{relay(&Listeners::bfd), relay(&Listeners::probes)});
  });
}

Liveness::~Liveness() { thread_.stop(); }

void Liveness::configure(std::vector<BfdPeer> peers) {
  asio::post(thread_.executor(), [this, peers = std::move(peers)] { there_->bfd.configure(peers); });
}

void Liveness::configure(ProbeTargets targets) {
  asio::post(thread_.executor(), [this, targets = std::move(targets)] { there_->prober.configure(targets); });
}

asio::awaitable<void> Liveness::rest() {
  co_await asio::co_spawn(
      thread_.executor(), [](Liveness* self) -> asio::awaitable<void> { co_await self->there_->bfd.rest(); }(this), asio::use_awaitable);
}

asio::awaitable<void> Liveness::end() {
  // Begun there; the answer comes home, since that is where this waits.
  co_await asio::co_spawn(
      thread_.executor(), [](Liveness* self) -> asio::awaitable<void> { co_await self->there_->end(); }(this), asio::use_awaitable);
}

}  // namespace berth
