// bare: the reference that Berth is measured against. It sends requests, prints when events come, gives
// routes to a gobgpd, and does nothing else: no cache, no plan, no retries. It stands on the same HTTP,
// JSON and gRPC code as Berth, so what a comparison shows is what Berth does besides.
//
//   send      one request per object, numbered 1 to N, so many in flight; prints what it took
//   follow    gives every Service that is made from now on an address by one PATCH; ends after N
//   watch     prints when the first and the N-th Service of the namespace showed an address
//   list      one GET of each path, all at once, read to the end
//   routes    gives a fresh gobgpd N routes, and then the router as a peer
//   converse  takes commands from stdin and answers each with times, and prints every event of a Service
//
// Times are nanoseconds of CLOCK_MONOTONIC, which is one for all processes of a machine.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "base/task_group.hpp"
#include "gobgp/client.hpp"
#include "gobgp/translate.hpp"
#include "kube/api_types.hpp"
#include "kube/config.hpp"
#include "kube/http_client.hpp"
#include "kube/json_reader.hpp"
#include "kube/watch.hpp"
#include "os/system_clock.hpp"

namespace berth::bench {
namespace {

using namespace std::chrono_literals;

struct Options {
  std::string kubeconfig;
  std::string space = "bench";
  std::string prefix;
  std::string method;
  std::string target;
  std::string body;
  std::string first_address = "198.18.0.1";
  std::vector<std::string> targets;
  std::vector<std::string> next_hops;
  int count = 1;
  int in_flight = 32;
  std::string gobgpd_socket;
  std::string router;
  std::uint32_t router_as = 65000;
  std::uint32_t local_as = 65001;
  std::string router_id;
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bare: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result, std::string_view doing) {
  if (!result) give_up(result.error().with(doing).text);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void print(const std::string& line) {
  std::fputs(line.c_str(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

std::string content_type(const std::string& method) { return method == "PATCH" ? "application/merge-patch+json" : "application/json"; }

// -- send ---------------------------------------------------------------------------------------------

std::string filled(std::string text, const std::vector<std::pair<std::string_view, std::string>>& values) {
  for (const auto& [name, value] : values)
    for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size()) text.replace(at, name.size(), value);
  return text;
}

class Sender {
 public:
  Sender(kube::HttpClient& client, const Options& options, IpAddress first) : client_(client), options_(options), first_(first) {}

  // One of the workers: sends what nobody has begun yet.
  asio::awaitable<void> work() {
    while (begun_ < options_.count) {
      const int number = begun_++;
      const std::vector<std::pair<std::string_view, std::string>> values{
          {"{n}", std::to_string(number + 1)}, {"{ip}", first_.plus(static_cast<std::uint64_t>(number)).to_string()}};
      kube::HttpRequest request{options_.method, filled(options_.target, values), content_type(options_.method),
                                filled(options_.body, values), 60s};
      const auto answer = must(co_await client_.send(std::move(request)), options_.method);
      if (answer.status < 200 || answer.status > 299) give_up(fmt::format("{}: {}", answer.status, answer.body.substr(0, 300)));
    }
  }

 private:
  kube::HttpClient& client_;
  const Options& options_;
  const IpAddress first_;
  int begun_ = 0;
};

asio::awaitable<void> send(asio::any_io_executor executor,
                           Timers& timers,
                           kube::HttpClient& client,
                           const Options& options,
                           IpAddress first) {
  Sender sender{client, options, first};
  const Instant began = timers.now();
  TaskGroup workers{executor};
  for (int i = 0; i < options.in_flight; ++i) workers.spawn("worker", sender.work());
  co_await workers.join();
  print(fmt::format(R"({{"seconds": {:.6f}, "cpu_seconds": {:.6f}}})", seconds(timers.now() - began),
                    static_cast<double>(std::clock()) / CLOCKS_PER_SEC));
  std::exit(0);
}

// -- watch --------------------------------------------------------------------------------------------

struct Sighting {
  std::string event;  // ADDED, MODIFIED, DELETED
  std::string name;
  std::string address;  // empty while it shows none
};

// Every change of a Service of the namespace, its name beginning with `prefix`, from now on; `ready` is called when nothing can be missed.
asio::awaitable<void> watch(kube::HttpClient& client,
                            Timers& timers,
                            std::string space,
                            std::string prefix,
                            std::function<void()> ready,
                            std::function<void(const Sighting&)> seen) {
  const std::string path = fmt::format("/api/v1/namespaces/{}/services", space);
  const auto listed = must(co_await client.send({.target = path + "?limit=1"}), "list");
  std::string version = must(kube::read_json<kube::api::List<kube::api::Service>>(listed.body), "list").value.metadata.resourceVersion;
  ready();
  const auto take = [&](std::string_view line) -> Result<> {
    auto event = must(kube::read_json<kube::api::WatchEvent<kube::api::Service>>(line), "watch").value;
    if (event.type == "ERROR") give_up("watch: " + std::string{line.substr(0, 300)});
    const auto& ingress = event.object.status.loadBalancer.ingress;
    if (event.object.metadata.name.starts_with(prefix))
      seen({event.type, event.object.metadata.name, ingress.empty() ? "" : ingress.front().ip});
    version = std::move(event.object.metadata.resourceVersion);
    return {};
  };
  for (;;) {
    kube::LineSplitter splitter{1 << 20};
    const auto ended = must(
        co_await client.stream({.target = fmt::format("{}?watch=1&resourceVersion={}", path, version), .deadline = 3600s},
                               [&](std::string_view bytes) { return splitter.feed(bytes, take); }),
        "watch");
    // A server that has just started puts a watch off (429) until its cache is filled.
    if (ended.status != 200 && ended.status != 429) give_up(fmt::format("watch: {}: {}", ended.status, ended.body.substr(0, 300)));
    co_await timers.sleep_for(50ms);
  }
}

class AddressCount {
 public:
  AddressCount(const Timers& timers, int count) : timers_(timers), count_(static_cast<std::size_t>(count)) {}
  void take(const Sighting& sighting) {
    if (sighting.address.empty() || !have_.insert(sighting.name).second) return;
    if (have_.size() == 1) first_ = timers_.now();
    if (have_.size() < count_) return;
    print(fmt::format(R"({{"first": {}, "last": {}}})", first_.since_start.count(), timers_.now().since_start.count()));
    std::exit(0);
  }

 private:
  const Timers& timers_;
  const std::size_t count_;
  std::set<std::string> have_;
  Instant first_;
};

// -- follow -------------------------------------------------------------------------------------------

// What a controller would do that need not decide or record anything: hears of a Service, PATCHes its status.
class Follower {
 public:
  Follower(asio::any_io_executor executor, kube::HttpClient& client, const Options& options, IpAddress first)
      : client_(client), options_(options), next_(first), workers_(executor) {}

  void take(const Sighting& sighting) {
    if (sighting.event != "ADDED" || !sighting.address.empty()) return;
    names_.push_back(sighting.name);
    if (in_flight_ == options_.in_flight) return;
    ++in_flight_;
    workers_.spawn("worker", work());
  }

 private:
  asio::awaitable<void> work() {
    while (!names_.empty()) {
      kube::HttpRequest request{"PATCH", fmt::format("/api/v1/namespaces/{}/services/{}/status", options_.space, names_.front()),
                                content_type("PATCH"),
                                fmt::format(R"({{"status":{{"loadBalancer":{{"ingress":[{{"ip":"{}"}}]}}}}}})", next_.to_string()), 60s};
      names_.pop_front();
      next_ = next_.plus(1);
      const auto answer = must(co_await client_.send(std::move(request)), "PATCH");
      if (answer.status != 200) give_up(fmt::format("{}: {}", answer.status, answer.body.substr(0, 300)));
      if (++done_ < options_.count) continue;
      print(fmt::format(R"({{"cpu_seconds": {:.6f}}})", static_cast<double>(std::clock()) / CLOCKS_PER_SEC));
      std::exit(0);
    }
    --in_flight_;
  }

  kube::HttpClient& client_;
  const Options& options_;
  IpAddress next_;
  std::deque<std::string> names_;
  int in_flight_ = 0;
  int done_ = 0;
  TaskGroup workers_;
};

// -- list ---------------------------------------------------------------------------------------------

asio::awaitable<void> read_whole(kube::HttpClient& client, std::string target) {
  const auto answer = must(co_await client.send({.target = target, .deadline = 60s}), target);
  if (answer.status != 200) give_up(fmt::format("{}: {}", target, answer.status));
}

asio::awaitable<void> list(asio::any_io_executor executor, kube::HttpClient& client, const Options& options) {
  TaskGroup tasks{executor};
  for (const std::string& target : options.targets) tasks.spawn("list", read_whole(client, target));
  co_await tasks.join();
  std::exit(0);
}

// -- routes -------------------------------------------------------------------------------------------

BgpPeerConfig router_of(const Options& options) {
  BgpPeerConfig peer;
  peer.neighbor = *IpAddress::parse(options.router);
  peer.peer_as = options.router_as;
  peer.families = {{.family = IpFamily::v4}};
  return peer;
}

BgpGlobal global_of(const Options& options) {
  BgpGlobal global;
  global.as = options.local_as;
  global.router_id = options.router_id;
  return global;
}

asio::awaitable<void> give_routes(asio::any_io_executor executor, const Options& options, IpAddress first) {
  gobgp::Client gobgpd{executor, options.gobgpd_socket};
  const BgpGlobal global = global_of(options);
  must(co_await gobgpd.start_bgp(must(gobgp::to_api(global), "start BGP")), "start BGP");
  std::vector<::api::Path> paths;
  for (int i = 0; i < options.count; ++i)
    for (std::uint32_t id = 1; id <= options.next_hops.size(); ++id)
      paths.push_back(
          gobgp::to_api(BgpRoute{first.plus(static_cast<std::uint64_t>(i)), *IpAddress::parse(options.next_hops[id - 1])}, id, {}));
  must(co_await gobgpd.change_paths(std::move(paths)), "change routes");
  must(co_await gobgpd.add_peer(gobgp::to_api(router_of(options), global, false)), "add peer");
  std::exit(0);
}

// -- converse -----------------------------------------------------------------------------------------

// Commands, one a line, each answered by one line:
//   POST|PUT|PATCH|DELETE TARGET [BODY]       -> answered STATUS BEGAN ENDED [RESOURCEVERSION]
//   announce|withdraw ADDRESS NEXT_HOP...     -> routes BEGAN ENDED
// Unasked: `ready` once, and `seen ADDED|MODIFIED|DELETED NAME TIME [ADDRESS]`.
class Conversation {
 public:
  Conversation(asio::any_io_executor executor, Timers& timers, kube::HttpClient& client, const Options& options)
      : input_(executor, ::dup(STDIN_FILENO)), timers_(timers), client_(client), options_(options) {
    if (!options.gobgpd_socket.empty()) gobgpd_ = std::make_unique<gobgp::Client>(executor, options.gobgpd_socket);
  }

  void take(const Sighting& sighting) const {
    print(fmt::format("seen {} {} {} {}", sighting.event, sighting.name, timers_.now().since_start.count(), sighting.address));
  }

  asio::awaitable<void> run() {
    if (gobgpd_) co_await start_bgp();
    asio::streambuf buffer;
    for (;;) {
      const auto [error, size] = co_await asio::async_read_until(input_, buffer, '\n', asio::as_tuple(asio::use_awaitable));
      if (error) std::exit(0);  // whoever talked to us has left
      const auto begin = asio::buffers_begin(buffer.data());
      const std::string line{begin, begin + static_cast<std::ptrdiff_t>(size - 1)};
      buffer.consume(size);
      const std::string verb = line.substr(0, line.find(' '));
      if (verb == "announce" || verb == "withdraw")
        co_await change_routes(line, verb == "withdraw");
      else
        co_await request(line);
    }
  }

 private:
  asio::awaitable<void> start_bgp() {
    const BgpGlobal global = global_of(options_);
    (void)co_await gobgpd_->start_bgp(must(gobgp::to_api(global), "start BGP"));
    must(co_await gobgpd_->add_peer(gobgp::to_api(router_of(options_), global, false)), "add peer");
  }

  asio::awaitable<void> request(const std::string& line) {
    const std::size_t target = line.find(' ') + 1;
    const std::size_t body = std::min(line.find(' ', target), line.size());
    const std::string method = line.substr(0, target - 1);
    kube::HttpRequest request{method, line.substr(target, body - target), content_type(method),
                              body < line.size() ? line.substr(body + 1) : ""};
    const Instant began = timers_.now();
    const auto answer = must(co_await client_.send(std::move(request)), method);
    const Instant ended = timers_.now();
    const auto object = kube::read_json<kube::api::Workload>(answer.body);
    print(fmt::format("answered {} {} {} {}", answer.status, began.since_start.count(), ended.since_start.count(),
                      object ? object->value.metadata.resourceVersion : ""));
  }

  asio::awaitable<void> change_routes(const std::string& line, bool withdraw) {
    std::vector<IpAddress> words;
    for (std::size_t at = line.find(' ') + 1; at < line.size();) {
      const std::size_t end = std::min(line.find(' ', at), line.size());
      const auto address = IpAddress::parse(line.substr(at, end - at));
      if (!address) give_up("no address in: " + line);
      words.push_back(*address);
      at = end + 1;
    }
    std::vector<::api::Path> paths;
    for (std::uint32_t id = 1; id < words.size(); ++id) {
      const BgpRoute route{words[0], words[id]};
      paths.push_back(withdraw ? gobgp::withdrawal(route, id) : gobgp::to_api(route, id, {}));
    }
    const Instant began = timers_.now();
    must(co_await gobgpd_->change_paths(std::move(paths)), "change routes");
    print(fmt::format("routes {} {}", began.since_start.count(), timers_.now().since_start.count()));
  }

  asio::posix::stream_descriptor input_;
  Timers& timers_;
  kube::HttpClient& client_;
  const Options& options_;
  std::unique_ptr<gobgp::Client> gobgpd_;
};

// -- the command line ---------------------------------------------------------------------------------

int run(int argc, char** argv) {
  Options options;
  CLI::App app{"The bare client that Berth is measured against."};
  app.require_subcommand(1);
  app.add_option("--kubeconfig", options.kubeconfig, "how to reach the API server")->required();
  app.add_option("--namespace", options.space, "of the Services to watch [bench]");
  app.add_option("--prefix", options.prefix, "of the names of the Services to watch []");

  CLI::App* sends = app.add_subcommand("send", "sends N requests; {n} in target and body stands for the number, {ip} for an address");
  sends->add_option("method", options.method)->required()->check(CLI::IsMember({"POST", "PUT", "PATCH", "DELETE"}));
  sends->add_option("target", options.target, "path and query")->required();
  sends->add_option("body", options.body, "JSON; of a PATCH a merge patch");
  sends->add_option("--count", options.count, "N [1]")->check(CLI::PositiveNumber);
  sends->add_option("--in-flight", options.in_flight, "requests at a time [32]")->check(CLI::PositiveNumber);
  sends->add_option("--first-address", options.first_address, "{ip} of number 1 [198.18.0.1]");

  CLI::App* follows = app.add_subcommand("follow", "gives N Services that are made from now on an address each");
  follows->add_option("--count", options.count, "N [1]")->check(CLI::PositiveNumber);
  follows->add_option("--in-flight", options.in_flight, "requests at a time [32]")->check(CLI::PositiveNumber);
  follows->add_option("--first-address", options.first_address, "what the first gets [198.18.0.1]");

  CLI::App* watches = app.add_subcommand("watch", "waits until N Services have an address; prints when the first and the last got it");
  watches->add_option("--count", options.count, "N [1]")->check(CLI::PositiveNumber);

  CLI::App* lists = app.add_subcommand("list", "reads each of the paths to its end, all at once");
  lists->add_option("targets", options.targets, "path and query")->required();

  CLI::App* routes = app.add_subcommand("routes", "gives a fresh gobgpd N routes with the next hops, and then its neighbour");
  routes->add_option("next_hops", options.next_hops)->required()->check(CLI::ValidIPV4);
  routes->add_option("--count", options.count, "N [1]")->check(CLI::PositiveNumber);
  routes->add_option("--first-address", options.first_address, "of number 1 [198.18.0.1]");
  routes->add_option("--gobgpd", options.gobgpd_socket, "its unix socket")->required();
  routes->add_option("--router", options.router, "address of its BGP neighbour")->required();
  routes->add_option("--router-id", options.router_id, "its own router id")->required();

  CLI::App* converses = app.add_subcommand("converse", "takes requests and routes from stdin and prints times");
  converses->add_option("--gobgpd", options.gobgpd_socket, "unix socket of a fresh gobgpd");
  converses->add_option("--router", options.router, "address of its BGP neighbour");
  converses->add_option("--router-id", options.router_id, "its own router id");
  CLI11_PARSE(app, argc, argv);

  ::signal(SIGPIPE, SIG_IGN);
  asio::io_context context{1};
  const auto executor = asio::any_io_executor{context.get_executor()};
  const auto timers = make_system_timers(executor);
  kube::HttpClient client{executor, must(kube::load_kubeconfig(options.kubeconfig), "kubeconfig")};
  Conversation conversation{executor, *timers, client, options};
  AddressCount addresses{*timers, options.count};
  const auto first = IpAddress::parse(options.first_address);
  if (!first) give_up("--first-address is no address");
  Follower follower{executor, client, options, *first};
  const auto watch_for = [&](std::function<void(const Sighting&)> seen) {
    return watch(client, *timers, options.space, options.prefix, [] { print("ready"); }, std::move(seen));
  };
  TaskGroup tasks{executor};
  if (sends->parsed()) tasks.spawn("send", send(executor, *timers, client, options, *first));
  if (lists->parsed()) tasks.spawn("list", list(executor, client, options));
  if (routes->parsed()) tasks.spawn("routes", give_routes(executor, options, *first));
  if (follows->parsed()) tasks.spawn("watch", watch_for([&follower](const Sighting& s) { follower.take(s); }));
  if (watches->parsed()) tasks.spawn("watch", watch_for([&addresses](const Sighting& s) { addresses.take(s); }));
  if (converses->parsed()) {
    tasks.spawn("watch", watch_for([&conversation](const Sighting& s) { conversation.take(s); }));
    tasks.spawn("converse", conversation.run());
  }
  context.run();
  return 0;
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) { return berth::bench::run(argc, argv); }
