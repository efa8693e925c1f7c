#include <cstdlib>
#include <filesystem>
#include <thread>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gobgp/client.hpp"
#include "gobgp/translate.hpp"
#include "os/child_process.hpp"
#include "subject.hpp"

namespace berth::contract {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t our_as = 64512, router_as = 65000;

std::string program() {
  const char* named = std::getenv("BERTH_GOBGPD");
  return named != nullptr ? named : BERTH_GOBGPD_DEFAULT;
}

std::uint16_t free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof address;
  if (probe < 0 || ::bind(probe, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    std::abort();
  ::close(probe);
  return ntohs(address.sin_port);
}

class RealSubject final : public Gobgpd {
 public:
  RealSubject() : folder_(make_folder()), speaker_(start("speaker")) {}
  ~RealSubject() override {
    speaker_.client->end();
    for (const Process& router : routers_) router.client->end();
    io_.restart();
    io_.poll();
    std::filesystem::remove_all(folder_);
  }
  gobgp::Api& api() override { return *speaker_.client; }

  BgpPeerConfig add_router(RouterKind kind) override {
    const std::string address = "127.0.0." + std::to_string(routers_.size() + 2);
    routers_.push_back(start(address));
    gobgp::Api& router = *routers_.back().client;
    const std::uint16_t port = free_port();
    const BgpGlobal global{
        .as = router_as, .router_id = address, .listen_port = port, .listen_addresses = {address}, .use_multiple_paths = false};
    must(run(router.start_bgp(gobgp::to_api(global).value())));
    BgpPeerConfig speaker;
    speaker.neighbor = *IpAddress::parse("127.0.0.1");
    speaker.peer_as = our_as;
    speaker.passive = true;
    speaker.graceful_restart = kind.graceful_restart;
    speaker.families = {{IpFamily::v4, kind.graceful_restart, kind.several_paths, 0}};
    must(run(router.add_peer(gobgp::to_api(speaker, global, false))));
    BgpPeerConfig out;
    out.neighbor = *IpAddress::parse(address);
    out.peer_as = router_as;
    out.remote_port = port;
    return out;
  }

  std::set<RouteAtRouter> table(std::size_t router) override {
    std::set<RouteAtRouter> out;
    const auto paths = run(routers_.at(router).client->list_paths(gobgp::family_of(IpFamily::v4)));
    if (!paths) return out;
    for (const api::Path& path : *paths) {
      const auto read = gobgp::path_from_api(path);
      if (!read) continue;
      RouteAtRouter route{read->route.address, read->route.next_hop};
      for (const BgpCommunity& community : read->path.path.attributes.communities)
        if (!community.large) route.communities.insert(community.a << 16U | community.b);
      out.insert(std::move(route));
    }
    return out;
  }
  std::uint64_t sessions(std::size_t router) override {
    const auto peers = run(routers_.at(router).client->list_peers());
    return peers && !peers->empty() ? gobgp::status_from_api(peers->front()).received.open : 0;
  }
  void pass(Duration time) override {
    io_.restart();
    io_.run_for(time);
    if (io_.stopped()) std::this_thread::sleep_for(std::min<Duration>(time, 1ms));
  }

 private:
  struct Process {
    std::unique_ptr<ChildProcess> child;
    std::unique_ptr<gobgp::Client> client;
  };
  static std::string make_folder() {
    std::string name = "/tmp/berth-contract-XXXXXX";
    return ::mkdtemp(name.data());
  }
  static void must(const Result<>& done) {
    if (!done) throw std::runtime_error{done.error().text};
  }
  Process start(const std::string& name) {
    const std::string socket = folder_ + "/" + name + ".sock";
    auto child = ChildProcess::start(io_.get_executor(),
                                     {.arguments = {program(), "--api-hosts", "unix://" + socket, "--pprof-disable", "--metrics-path="},
                                      .environment = {},
                                      .on_line = [](std::string_view) {}});
    if (!child) throw std::runtime_error{child.error().text};
    Process out{std::move(*child), std::make_unique<gobgp::Client>(io_.get_executor(), socket)};
    if (!eventually([&] { return run(out.client->get_bgp()).has_value(); })) throw std::runtime_error{"no answer"};
    return out;
  }

  std::string folder_;
  std::vector<Process> routers_;
  Process speaker_;
};

}  // namespace

std::unique_ptr<Gobgpd> make_real_gobgpd() { return std::make_unique<RealSubject>(); }

}  // namespace berth::contract
