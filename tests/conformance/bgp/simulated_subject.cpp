#include "../../sim/bgp/process.hpp"
#include "subject.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;

class SimulatedSubject final : public Gobgpd {
 public:
  SimulatedSubject() {
    host_.gobgpd = std::make_shared<sim::SimulatedGobgpd>(time_, rng_, routers_);
    api_ = std::make_unique<sim::SimulatedApi>(io_.get_executor(), time_, host_);
  }
  ~SimulatedSubject() override {
    host_.gobgpd->kill();
    pass(10min);
  }
  gobgp::Api& api() override { return *api_; }
  BgpPeerConfig add_router(RouterKind kind) override {
    sim::RouterOptions options;
    options.address = IpAddress::v4(0xC0000201U + static_cast<std::uint32_t>(order_.size()));
    options.as = 65000;
    options.graceful_restart = kind.graceful_restart;
    options.several_paths = kind.several_paths;
    order_.push_back(routers_.emplace(options.address, std::make_unique<sim::SimulatedRouter>(time_, rng_, options)).first->second.get());
    BgpPeerConfig out;
    out.neighbor = options.address;
    out.peer_as = options.as;
    return out;
  }
  std::set<RouteAtRouter> table(std::size_t router) override {
    std::set<RouteAtRouter> out;
    for (const auto& [key, entry] : order_.at(router)->table())
      out.insert({key.first.address, entry.route.next_hop, entry.route.communities});
    return out;
  }
  std::uint64_t sessions(std::size_t router) override { return order_.at(router)->sessions(); }
  void pass(Duration time) override { time_.run_for(time); }

 private:
  testing::SimTimers time_{io_};
  sim::SimRng rng_{1};
  sim::Routers routers_;
  std::vector<sim::SimulatedRouter*> order_;
  sim::GobgpHost host_{.time = time_, .rng = rng_, .routers = routers_, .faults = {}, .gobgpd = nullptr};
  std::unique_ptr<sim::SimulatedApi> api_;
};

}  // namespace

std::unique_ptr<Gobgpd> make_simulated_gobgpd() { return std::make_unique<SimulatedSubject>(); }

}  // namespace berth::contract
