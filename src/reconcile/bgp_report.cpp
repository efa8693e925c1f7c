#include "reconcile/bgp_report.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.hpp"

namespace berth {
namespace {

using namespace std::chrono_literals;

constexpr Duration write_interval = 2s;
constexpr Duration counters_interval = 5min;
constexpr std::string_view speaker_component = "speakerManager";
constexpr Duration trouble_patience = 5s;
constexpr std::size_t most_reasons = 4;  // of one session that stays down

std::string trouble_text(const IpAddress& ip, const RouteVerdict& verdict) {
  if (verdict.reason == RouteReason::other_protocol)
    return fmt::format("service ip {} is not announced: its Eip's spec.protocol is one that Berth does not speak yet; use bgp",
                       ip.to_string());
  return fmt::format("no available nodes for service ip {}:{} ({})", ip.to_string(), verdict.service.to_string(),
                     to_string(verdict.reason));
}

// What is worth a write at once: everything but counters, queues and timers' echoes.
bool same_state(const BgpPeerStatus& a, const BgpPeerStatus& b) {
  return a.session_state == b.session_state && a.admin_down == b.admin_down && a.neighbor_address == b.neighbor_address &&
         a.peer_as == b.peer_as && a.local_as == b.local_as && a.router_id == b.router_id && a.description == b.description &&
         a.peer_group == b.peer_group && a.uptime == b.uptime && a.hold_time_s == b.hold_time_s &&
         a.negotiated_hold_time_s == b.negotiated_hold_time_s && a.keepalive_interval_s == b.keepalive_interval_s &&
         a.bfd.has_value() == b.bfd.has_value() &&
         (!a.bfd || (a.bfd->state == b.bfd->state && a.bfd->downs == b.bfd->downs && a.bfd->detection_time == b.bfd->detection_time));
}

// A status has room for one session of a node: one that is up, if any of the range's is.
std::map<std::string, BgpPeerStatus> one_of_each(const std::vector<std::pair<std::string, BgpPeerStatus>>& sessions) {
  std::map<std::string, BgpPeerStatus> out;
  for (const auto& [name, status] : sessions) {
    const auto [there, is_first] = out.try_emplace(name, status);
    const auto is_up = [](const BgpPeerStatus& one) { return one.session_state == SessionState::established; };
    if (!is_first && is_up(status) && !is_up(there->second)) there->second = status;
  }
  return out;
}

}  // namespace

BgpReport::BgpReport(const asio::any_io_executor& executor,
                     Timers& timers,
                     Rng& rng,
                     Cluster& cluster,
                     EventSink& events,
                     const World& world,
                     std::string node)
    : timers_(timers), rng_(rng), cluster_(cluster), events_(events), world_(world), node_(std::move(node)), bell_(executor) {}

void BgpReport::update(BgpSituation situation) {
  situation_ = std::move(situation);
  bell_.ring();
}

asio::awaitable<void> BgpReport::run() {
  for (;;) {
    co_await bell_.wait_until(timers_, wake_at_);
    wake_at_.reset();
    if (!world_.bgp_confs.synced() || !world_.bgp_peers.synced()) continue;
    tell_problems();
    tell_sessions();
    if (retry_at_ && timers_.now() < *retry_at_) {
      wake_at_ = retry_at_;
      continue;
    }
    retry_at_.reset();
    co_await write_server();
    co_await write_sessions();
  }
}

void BgpReport::tell_problems() {
  for (const BgpProblem& problem : situation_.problems) {
    if (!told_.insert(problem).second) continue;
    log::warning("bgp_object_invalid", {{"kind", problem.kind}, {"name", problem.name}, {"error", problem.text}});
    events_.post({{"network.kubesphere.io/v1alpha2", problem.kind, "", problem.name, problem.uid},
                  true,
                  std::string{speaker_component},
                  "InvalidConfiguration",
                  node_ + ": " + problem.text});
  }
  std::erase_if(told_,
                [&](const BgpProblem& problem) { return std::ranges::find(situation_.problems, problem) == situation_.problems.end(); });
}

void BgpReport::tell_peer(const std::string& name, bool warning, std::string reason, const std::string& text) {
  const BgpPeer* peer = world_.bgp_peers.find(name);
  if (peer == nullptr) return;
  events_.post({{"network.kubesphere.io/v1alpha2", "BgpPeer", "", name, peer->uid},
                warning,
                std::string{speaker_component},
                std::move(reason),
                node_ + ": " + text});
}

void BgpReport::tell_sessions() {
  std::map<std::pair<std::string, std::string>, Seen> now;
  for (const auto& [name, status] : situation_.sessions) {
    const auto before = seen_.find({name, status.neighbor_address});
    const Seen was = before == seen_.end() ? Seen{} : before->second;
    Seen& is = now[{name, status.neighbor_address}] = {status.session_state == SessionState::established, status.bfd ? status.bfd->ups : 0,
                                                       status.bfd ? status.bfd->downs : 0, was.down_since, was.told};
    if (is.established && !was.established) tell_peer(name, false, "SessionUp", "session with " + status.neighbor_address + " established");
    if (!is.established && was.established)
      tell_peer(name, true, "SessionDown",
                fmt::format("session with {} is down: {}", status.neighbor_address,
                            status.last_error.empty() ? "no reason was given" : status.last_error));
    tell_why_down(name, status, is);
    // By counters: a session may be up again before anybody looks.
    if (is.bfd_downs > was.bfd_downs)
      tell_peer(name, true, "BfdDown", fmt::format("BFD with {} went down: {}", status.neighbor_address, status.bfd->last_down));
    if (is.bfd_ups > was.bfd_ups) tell_peer(name, false, "BfdUp", fmt::format("BFD with {} came up", status.neighbor_address));
  }
  seen_ = std::move(now);
}

// Of a session that does not come up, or not again: the reason may be another one than that of its end.
void BgpReport::tell_why_down(const std::string& name, const BgpPeerStatus& status, Seen& seen) {
  if (seen.established || status.admin_down) {
    seen.down_since.reset();
    seen.told.clear();
    return;
  }
  if (!seen.down_since) seen.down_since = timers_.now();
  const Instant due = *seen.down_since + trouble_patience;
  if (timers_.now() < due) {
    if (!wake_at_ || due < *wake_at_) wake_at_ = due;
    return;
  }
  if (status.last_error.empty() || seen.told.size() >= most_reasons || !seen.told.insert(status.last_error).second) return;
  tell_peer(name, true, "SessionDown", fmt::format("there is no session with {}: {}", status.neighbor_address, status.last_error));
}

asio::awaitable<void> BgpReport::write_server() {
  const BgpConf* conf = world_.bgp_confs.find("default");
  if (conf == nullptr) co_return;
  const auto shown = conf->nodes_status.find(node_);
  const bool is_shown = shown != conf->nodes_status.end();
  if (situation_.server ? is_shown && shown->second == *situation_.server : !is_shown) co_return;
  const std::optional<BgpConf::NodeStatus> wanted = situation_.server;
  const Result<> written = co_await cluster_.patch_bgp_conf_status("default", node_, wanted);
  if (!written) failed("BgpConf default", written.error());
}

asio::awaitable<void> BgpReport::write_sessions() {
  const std::map<std::string, BgpPeerStatus> sessions = one_of_each(situation_.sessions);
  for (const auto& [name, status] : sessions) {
    if (world_.bgp_peers.find(name) == nullptr) continue;
    const Instant now = timers_.now();
    const auto before = written_.find(name);
    if (before != written_.end()) {
      const bool same = same_state(before->second.status, status);
      const Instant due = before->second.at + (same ? counters_interval : write_interval);
      if (same && before->second.status == status) continue;
      if (now < due) {
        if (!wake_at_ || due < *wake_at_) wake_at_ = due;
        continue;
      }
    }
    const Result<> written = co_await cluster_.patch_bgp_peer_status(name, node_, status);
    if (written) {
      backoff_.succeeded();
      written_[name] = {status, timers_.now()};
    } else {
      failed("BgpPeer " + name, written.error());
      co_return;
    }
  }
  // Entries of ours at peers that we do not speak to any more.
  for (const auto& [name, peer] : world_.bgp_peers.rows()) {
    const bool ours = peer.node_sessions.contains(node_);
    if (!ours || sessions.contains(name)) continue;
    const std::string copy = name;  // the table may change while we wait
    written_.erase(copy);
    const Result<> written = co_await cluster_.patch_bgp_peer_status(copy, node_, std::nullopt);
    if (!written) failed("BgpPeer " + copy, written.error());
    break;  // the iteration is not valid any more; the watch's echo rings again
  }
}

asio::awaitable<void> BgpReport::say_sessions_ended() {
  for (auto& [name, written] : written_) {
    BgpPeerStatus ended = written.status;
    ended.session_state = SessionState::idle;
    ended.prefixes = 0;
    ended.bfd.reset();
    if (ended == written.status) continue;
    if (const Result<> done = co_await cluster_.patch_bgp_peer_status(name, node_, std::move(ended)); !done)
      log::info("write_failed", {{"doing", "say that the session ended"}, {"object", "BgpPeer " + name}, {"error", done.error().text}});
  }
}

void BgpReport::failed(const std::string& what, const Error& error) {
  log::warning("write_failed",
               {{"doing", "write the BGP status"}, {"object", what}, {"code", to_string(error.code)}, {"error", error.text}});
  retry_at_ = timers_.now() + backoff_.next(rng_);
  wake_at_ = retry_at_;
}

void RouteEvents::post(const RouteVerdict& verdict, bool warning, std::string reason, std::string text) {
  const Service* service = world_.services.find(verdict.service);
  if (service == nullptr) return;
  events_.post({{"v1", "Service", verdict.service.space, verdict.service.name, service->uid},
                warning,
                std::string{speaker_component},
                std::move(reason),
                std::move(text)});
}

void RouteEvents::note(const IpAddress& ip, const RouteVerdict* before, const RouteVerdict& verdict, bool tell, Instant now) {
  const bool was_announced = before != nullptr && before->reason == RouteReason::announced;
  if (tell && !verdict.problem.empty() && (before == nullptr || before->problem != verdict.problem))
    post(verdict, true, "InvalidAnnotation", verdict.problem + "; the rest counts");
  switch (verdict.reason) {
    case RouteReason::announced:
      if (tell && !(was_announced && before->nodes == verdict.nodes))
        post(verdict, false, "SetBalancer", fmt::format("success to add nexthops [{}]", fmt::join(verdict.nodes, ", ")));
      break;
    case RouteReason::freeing:
      if (tell && was_announced) post(verdict, false, "DelBalancer", "success to withdraw announcement for service");
      break;
    case RouteReason::service_unknown: break;
    default: {
      const auto known = troubles_.find(ip);
      if (known == troubles_.end() || known->second.reason != verdict.reason)
        troubles_.insert_or_assign(ip, Trouble{verdict.reason, now, !tell});
      return;
    }
  }
  troubles_.erase(ip);
}

// Called with each plan: only what changed is looked at, and what is in trouble.
void RouteEvents::update(const RoutePlan& plan, bool speak, Instant now) {
  const bool tell = speak && version_;
  if (version_ != plan.verdicts_version) {
    auto old = before_.begin();
    const auto forget_until = [&](const IpAddress* ip) {
      while (old != before_.end() && (ip == nullptr || old->first < *ip)) {
        troubles_.erase(old->first);
        old = before_.erase(old);
      }
    };
    for (const auto& [ip, verdict] : plan.verdicts) {
      forget_until(&ip);
      if (old == before_.end() || ip < old->first) {
        note(ip, nullptr, verdict, tell, now);
        before_.emplace_hint(old, ip, verdict);
        continue;
      }
      if (old->second != verdict) {
        note(ip, &old->second, verdict, tell, now);
        old->second = verdict;
      }
      ++old;
    }
    forget_until(nullptr);
    version_ = plan.verdicts_version;
  }
  if (!tell) return;
  for (auto& [ip, trouble] : troubles_) {
    if (trouble.told || now - trouble.since < trouble_patience) continue;
    trouble.told = true;
    post(before_.at(ip), true, "SetBalancer", trouble_text(ip, before_.at(ip)));
  }
}

}  // namespace berth
