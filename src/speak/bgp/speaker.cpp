#include "speak/bgp/speaker.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/log.hpp"
#include "speak/bgp/words.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

// How often sessions are read without a change being announced, for counters and metrics.
constexpr Duration sessions_interval = 10s;
constexpr Duration references_patience = 3s;

std::optional<Instant> earliest(std::optional<Instant> a, std::optional<Instant> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

// A line for each session that came up or went down; what lies between is detail.
void log_changes(const std::vector<BgpPeerStatus>& before, const std::vector<BgpPeerStatus>& now) {
  const auto is_up = [](const std::vector<BgpPeerStatus>& sessions, const std::string& neighbor) {
    const auto found = std::ranges::find(sessions, neighbor, &BgpPeerStatus::neighbor_address);
    return found != sessions.end() && found->session_state == SessionState::established;
  };
  for (const BgpPeerStatus& session : now)
    if (is_up(now, session.neighbor_address) && !is_up(before, session.neighbor_address))
      log::info("bgp_session_up", {{"neighbor", session.neighbor_address},
                                   {"peer_as", session.peer_as},
                                   {"graceful_restart", session.graceful_restart ? "yes" : "no"},
                                   {"add_path", session.add_path_send ? "yes" : "no"}});
  for (const BgpPeerStatus& session : before) {
    if (!is_up(before, session.neighbor_address) || is_up(now, session.neighbor_address)) continue;
    const auto found = std::ranges::find(now, session.neighbor_address, &BgpPeerStatus::neighbor_address);
    log::warning("bgp_session_down",
                 {{"neighbor", session.neighbor_address},
                  {"reason", found == now.end() ? "it is configured no more, or the engine is gone" : found->last_error}});
  }
}

void log_bfd_changes(const BfdReport& before, const BfdReport& now) {
  if (now.trouble != before.trouble && !now.trouble.empty()) log::error("bfd_not_listening", {{"error", now.trouble}});
  for (const BfdStatus& session : now.sessions) {
    const auto old = std::ranges::find(before.sessions, session.neighbor, &BfdStatus::neighbor);
    const BfdStatus was = old == before.sessions.end() ? BfdStatus{} : *old;
    const std::string neighbor = session.neighbor.to_string();
    if (session.downs > was.downs) log::warning("bfd_session_down", {{"neighbor", neighbor}, {"reason", session.last_down}});
    if (session.ups > was.ups && session.up)
      log::info(
          "bfd_session_up",
          {{"neighbor", neighbor}, {"detection_ms", seconds(session.detection_time) * 1000}, {"resumed", session.resumed ? "yes" : "no"}});
    if (session.stalls > was.stalls) log::warning("bfd_stalled", {{"neighbor", neighbor}, {"why", "this process did not run in time"}});
  }
}

}  // namespace

BgpSpeaker::BgpSpeaker(const asio::any_io_executor& executor,
                       Timers& timers,
                       Rng& rng,
                       const World& world,
                       BgpEngine& engine,
                       RouteOptions options)
    : timers_(timers), rng_(rng), world_(world), engine_(engine), bell_(executor), routes_(std::move(options)) {}

void BgpSpeaker::engine_changed() {
  applied_ = nullptr;  // the engine knows what differs; nothing is sent for what does not
  sessions_changed_ = true;
  retry_at_.reset();
  bell_.ring();
}

void BgpSpeaker::bfd_changed(BfdReport report) {
  const auto events = [](const BfdReport& of) {
    std::vector<std::tuple<IpAddress, bool, std::uint64_t, std::string>> out;
    for (const BfdStatus& session : of.sessions) out.emplace_back(session.neighbor, session.up, session.downs, session.remote_state);
    return out;
  };
  const bool look = events(report) != events(bfd_);  // counters alone are nothing to plan for
  log_bfd_changes(bfd_, report);
  bfd_ = std::move(report);
  if (look) bell_.ring();
}

void BgpSpeaker::router_heard(const IpAddress& router) {
  if (heard_.size() < Strangers::most) heard_.insert(router);
  if (!callers_.known().contains(router)) bell_.ring();
}

void BgpSpeaker::links_changed(std::map<Zone, std::string> problems) {
  for (const auto& [zone, problem] : problems)
    if (!link_problems_.contains(zone)) log::warning("bgp_link_not_heard", {{"interface", zone.name()}, {"error", problem}});
  link_problems_ = std::move(problems);
  bell_.ring();
}

void BgpSpeaker::probes_changed(AnsweringNodes answering) {
  for (const auto& [node, answers] : answering) {
    const auto before = answering_.find(node);
    if (before == answering_.end() || before->second == answers) continue;
    if (answers)
      log::info("node_answers", {{"node", node}});
    else
      log::warning("node_does_not_answer", {{"node", node}});
  }
  answering_ = std::move(answering);
  bell_.ring();
}

asio::awaitable<void> BgpSpeaker::run() {
  for (;;) {
    const Instant begun = timers_.now();
    if (plan()) {
      // What failed waits; what is asked for since does not.
      if (applied_ != desired_ && (!retry_at_ || *retry_at_ <= begun || failed_ != desired_)) co_await apply();
    }
    if (sessions_changed_ || timers_.now() - sessions_read_ >= sessions_interval) co_await read_sessions();
    collect_problems();
    if (report_ && counters_.plans > 0) report_();
    auto next = earliest(earliest(routes_.plan().wake_at, bfd_verdict_.wake_at), earliest(retry_at_, sessions_read_ + sessions_interval));
    if (counters_.plans == 0) next = earliest(next, references_wanted_until_);
    co_await bell_.wait_until(timers_, next);
    const Duration planning{static_cast<Duration::rep>(counters_.last_plan_seconds * 1e9)};
    co_await timers_.sleep_until(pace_.next(begun, planning));
  }
}

// True if there is something to hold the engine to.
bool BgpSpeaker::plan() {
  if (!world_.bgp_confs.synced() || !world_.bgp_peers.synced() || !world_.nodes.synced()) return false;
  const Instant begun = timers_.now();
  if (!has_references(begun)) return false;
  want_probes();
  if (!routes_.update(world_, answering_, begun)) return false;
  look_who_called(begun);
  BgpConfiguration configuration = plan_bgp_configuration(world_, routes_.options().node, configured_, callers_.known());
  ranges_ = std::move(configuration.ranges);
  configuration_problems_ = std::move(configuration.problems);
  configured_ = {configuration.global, configuration.peers, {}, {}, configuration.policy, {}, configuration.own_next_hops};
  want_links();
  consult_bfd(configuration.peers);
  const RoutePlan& routes = routes_.plan();
  const bool same_routes = !configuration.global || desired_version_ == routes.routes_version;
  std::vector<IpRange> ranges;
  for (const BgpNeighborRange& one : ranges_)
    if (one.zone.empty()) ranges.push_back(one.range);
  const bool same = same_routes && configuration.global == desired_->global && configuration.peers == desired_->peers &&
                    configuration.policy == desired_->policy && ranges == desired_->ranges &&
                    configuration.own_next_hops == desired_->own_next_hops;
  if (!same) {
    want(std::move(configuration), std::move(ranges));
    if (!diverged_at_) diverged_at_ = begun;
  }
  ++counters_.plans;
  counters_.last_plan_seconds = seconds(timers_.now() - begun);
  return true;
}

void BgpSpeaker::want(BgpConfiguration configuration, std::vector<IpRange> ranges) {
  Made next = std::exchange(made_before_, std::move(made_));
  if (next.desired.use_count() != 1) next = {std::make_shared<BgpDesired>()};
  BgpDesired& to = *next.desired;
  to.audiences.clear();
  if (configuration.global) {
    routes_.bring_up_to_date(to.routes, next.position);
    to.audiences = offers(routes_.plan().advertising, configuration.peers, configuration.global->as);
  } else {
    to.routes.clear();
    next.position = 0;
  }
  to.global = std::move(configuration.global);
  to.peers = std::move(configuration.peers);
  to.policy = std::move(configuration.policy);
  to.ranges = std::move(ranges);
  to.own_next_hops = std::move(configuration.own_next_hops);
  made_ = std::move(next);
  desired_ = made_.desired;
  desired_version_ = routes_.plan().routes_version;
  prefixes_.reset();
}

void BgpSpeaker::collect_problems() {
  problems_ = configuration_problems_;
  note_link_problems();
  for (BgpEngineProblem& problem : engine_.problems()) {
    if (problem.object.empty()) {
      if (const BgpConf* conf = world_.bgp_confs.find("default"); conf != nullptr)
        problems_.push_back({"BgpConf", conf->name, conf->uid, std::move(problem.text)});
    } else if (const BgpPeer* peer = world_.bgp_peers.find(problem.object); peer != nullptr) {
      problems_.push_back({"BgpPeer", peer->name, peer->uid, std::move(problem.text)});
    }
  }
}

void BgpSpeaker::note_link_problems() {
  const auto report = [this](const std::string& object, std::string text) {
    if (const BgpPeer* peer = world_.bgp_peers.find(object); peer != nullptr)
      problems_.push_back({"BgpPeer", peer->name, peer->uid, std::move(text)});
  };
  for (const BgpNeighborRange& one : ranges_)
    if (const auto problem = link_problems_.find(one.zone); problem != link_problems_.end())
      report(one.object, "spec.conf.neighborInterface: " + problem->second);
  if (routes_.options().only_self || world_.nodes.rows().size() < 2) return;
  for (const BgpPeerStatus& session : sessions_) {
    const auto neighbor = IpAddress::parse_scoped(session.neighbor_address);
    if (!neighbor || neighbor->zone.empty() || session.session_state != SessionState::established || session.add_path_send) continue;
    const auto peer = std::ranges::find(desired_->peers, *neighbor, &BgpPeerConfig::neighbor);
    if (peer != desired_->peers.end()) report(peer->object, std::string{one_path_on_a_link_text});
  }
}

void BgpSpeaker::want_links() {
  std::set<Zone> wanted;
  for (const BgpNeighborRange& one : ranges_)
    if (!one.zone.empty()) wanted.insert(one.zone);
  if (wanted == links_) return;
  links_ = std::move(wanted);
  if (links_wanted_) links_wanted_(links_);
}

// Passwords and policies that BgpPeers and BgpConf name. A session that begins without is another one; but who may not read them, or can't,
// is not to lose all the others.
bool BgpSpeaker::has_references(Instant now) {
  const BgpConf* conf = world_.bgp_confs.find("default");
  const bool policy = conf != nullptr && !conf->policy.empty();
  const bool password = std::ranges::any_of(world_.bgp_peers.rows(), [](const auto& row) { return !row.second.password_secret.empty(); });
  if ((!policy || world_.policy_config_maps.synced()) && (!password || world_.password_secrets.synced())) {
    references_wanted_until_.reset();
    return true;
  }
  if (counters_.plans > 0) return true;
  if (!references_wanted_until_) references_wanted_until_ = now + references_patience;
  return *references_wanted_until_ <= now;
}

// A machine that is in no range is a stranger, whatever it wants. Those with a session are remembered as long as they have it.
void BgpSpeaker::look_who_called(Instant now) {
  std::set<IpAddress> found = engine_.take_callers();
  found.merge(std::exchange(heard_, {}));
  for (const IpAddress& caller : found) {
    const bool is_router = std::ranges::any_of(ranges_, [&](const BgpNeighborRange& one) { return one.contains(caller); });
    if (is_router && !callers_.note(caller, now)) log::warning("bgp_too_many_callers", {{"address", caller.to_string()}});
  }
  if (callers_.known().empty()) return;
  for (const BgpPeerStatus& session : sessions_)
    if (const auto neighbor = IpAddress::parse_scoped(session.neighbor_address);
        neighbor && session.session_state == SessionState::established)
      callers_.keep(*neighbor, now);
  callers_.forget_silent(now);
}

// A speaker that announces itself alone needs to know nothing of others.
void BgpSpeaker::want_probes() {
  ProbeTargets wanted;
  if (!routes_.options().only_self && world_.bgp_confs.find("default") != nullptr)
    for (const auto& [name, node] : world_.nodes.rows())
      if (name != routes_.options().node && !node.internal_ips.empty()) wanted.emplace(name, node.internal_ips.front());
  if (wanted == probe_targets_) return;
  probe_targets_ = std::move(wanted);
  if (probes_wanted_) probes_wanted_(probe_targets_);
}

void BgpSpeaker::consult_bfd(std::vector<BgpPeerConfig>& peers) {
  std::vector<BfdPeer> wanted;
  for (const BgpPeerConfig& peer : peers)
    if (peer.bfd && !peer.admin_down) wanted.push_back(*peer.bfd);
  if (wanted != bfd_peers_) {
    bfd_peers_ = std::move(wanted);
    if (bfd_wanted_) bfd_wanted_(bfd_peers_);
  }
  bfd_verdict_ = judge_bfd(peers, bfd_, bfd_memory_, timers_.now());
  for (BgpPeerConfig& peer : peers)
    if (bfd_verdict_.held.contains(peer.neighbor)) peer.admin_down = true;
}

asio::awaitable<void> BgpSpeaker::apply() {
  const std::shared_ptr<const BgpDesired> wanted = desired_;
  const Instant begun = timers_.now();
  ++counters_.applies;
  // Set before the wait: a change that the engine announces meanwhile takes it back.
  applied_ = wanted;
  const Result<> done = co_await engine_.apply(wanted);
  counters_.last_apply_seconds = seconds(timers_.now() - begun);
  if (done) {
    backoff_.succeeded();
    retry_at_.reset();
    failed_ = nullptr;
    last_error_.clear();
    if (diverged_at_) {
      ++counters_.convergences;
      counters_.convergence_seconds += seconds(timers_.now() - *diverged_at_);
      diverged_at_.reset();
    }
    co_return;
  }
  applied_ = nullptr;
  failed_ = wanted;
  ++counters_.failures;
  retry_at_ = timers_.now() + backoff_.next(rng_);
  if (last_error_ != done.error().text) log::warning("bgp_apply_failed", {{"error", done.error().text}});
  last_error_ = done.error().text;
}

asio::awaitable<void> BgpSpeaker::read_sessions() {
  sessions_changed_ = false;
  sessions_read_ = timers_.now();
  if (!desired_->global) {
    sessions_.clear();
    co_return;
  }
  Result<std::vector<BgpPeerStatus>> read = co_await engine_.peers();
  if (!read && read.error().code != ErrorCode::unavailable) co_return;
  std::vector<BgpPeerStatus> now = read ? std::move(*read) : std::vector<BgpPeerStatus>{};  // without an engine there is none
  log_changes(sessions_, now);
  if (!prefixes_) prefixes_ = prefixes_by_peer(*desired_);
  for (BgpPeerStatus& session : now)
    if (const auto neighbor = IpAddress::parse_scoped(session.neighbor_address);
        neighbor && session.session_state == SessionState::established)
      if (const auto told = prefixes_->find(*neighbor); told != prefixes_->end()) session.prefixes = told->second;
  sessions_ = std::move(now);
}

asio::awaitable<void> BgpSpeaker::stop(BgpStop how, Duration notice) {
  if (how == BgpStop::drain && !desired_->routes.empty()) {
    BgpDesired marked = *desired_;
    for (auto& [route, path] : marked.routes) path.attributes.add(graceful_shutdown_community);
    const Result<> done = co_await engine_.apply(std::make_shared<const BgpDesired>(std::move(marked)));
    if (done) co_await timers_.sleep_for(notice);
  }
  const Result<> stopped = co_await engine_.stop(how);
  if (!stopped) log::warning("bgp_stop_failed", {{"error", stopped.error().text}});
}

}  // namespace berth
