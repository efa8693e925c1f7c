#include "app/debug_state.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace berth {
namespace {

namespace json = boost::json;

template <class T>
json::object table(const Table<T>& rows) {
  return {{"synced", rows.synced()}, {"count", rows.rows().size()}};
}

json::object world(const World& world) {
  json::object blocks;
  for (const auto& [name, block] : world.blocks.rows()) {
    json::object entries;
    for (const auto& [ip, entry] : block.addresses) {
      json::array holders;
      for (const Holder& holder : entry.holders)
        holders.push_back({{"service", holder.service.to_string()},
                           {"uid", holder.uid.text},
                           {"state", holder.state == HolderState::held ? "held" : "freeing"}});
      entries[ip.to_string()] = {{"pool", entry.pool},
                                 {"protocol", to_string(entry.protocol)},
                                 {"holders", std::move(holders)},
                                 {"reservedFor", entry.reserved_for}};
    }
    blocks[name] = std::move(entries);
  }
  json::object pools;
  for (const auto& [name, pool] : world.pools.rows())
    pools[name] = {{"address", pool.address},
                   {"protocol", to_string(pool.protocol)},
                   {"disabled", pool.disabled},
                   {"deleting", pool.deleting},
                   {"invalid", pool.invalid}};
  json::object nodes;
  for (const auto& [name, node] : world.nodes.rows()) nodes[name] = {{"ready", node.ready}, {"deleting", node.deleting}};
  return {{"services", table(world.services)},
          {"endpointSlices", table(world.endpoint_slices)},
          {"namespaces", table(world.namespaces)},
          {"bgpConfs", table(world.bgp_confs)},
          {"bgpPeers", table(world.bgp_peers)},
          {"nodes", std::move(nodes)},
          {"pools", std::move(pools)},
          {"addressBlocks", std::move(blocks)}};
}

json::array pending(const std::vector<Pending>& list) {
  json::array out;
  for (const Pending& item : list) {
    json::array why;
    for (const Refusal& refusal : item.refusals) why.push_back({{"reason", to_string(refusal.reason)}, {"text", refusal.text}});
    out.push_back({{"service", item.service.to_string()}, {"hasAnAddress", item.holds}, {"why", std::move(why)}});
  }
  return out;
}

json::object announcements(const BgpSpeaker& speaker) {
  json::object out;
  for (const auto& [ip, verdict] : speaker.route_plan().verdicts) {
    json::array nodes;
    for (const std::string& node : verdict.nodes) nodes.push_back(json::value(node));
    out[ip.to_string()] = {{"service", verdict.service.to_string()}, {"reason", to_string(verdict.reason)}, {"nodes", std::move(nodes)}};
  }
  return out;
}

json::object attributes(const BgpAttributes& from) {
  json::object out;
  json::array communities;
  for (const BgpCommunity& community : from.communities) communities.push_back(json::value(to_string(community)));
  if (!communities.empty()) out["communities"] = std::move(communities);
  if (from.med) out["med"] = *from.med;
  if (from.local_pref) out["localPref"] = *from.local_pref;
  return out;
}

// What of it goes to whom: an offer without `to` is for every router.
json::array offers(const BgpPath& path, const BgpDesired& desired) {
  json::array out;
  if (path.audience == 0) {
    out.push_back(attributes(path.attributes));
    return out;
  }
  const auto found = desired.audiences.find(path.audience);
  if (found == desired.audiences.end()) return out;
  for (const BgpOffer& offer : found->second) {
    BgpAttributes all = offer.attributes;
    for (const BgpCommunity& community : path.attributes.communities) all.add(community);
    json::object one = attributes(all);
    if (offer.prepend > 0) one["asPathPrepend"] = offer.prepend;
    json::array to;
    for (const BgpPeerConfig& peer : desired.peers)  // of a range there may be several
      if (offer.peers.contains(peer.neighbor) && std::ranges::find(to, json::value(peer.object)) == to.end())
        to.push_back(json::value(peer.object));
    one["to"] = std::move(to);
    out.push_back(std::move(one));
  }
  return out;
}

json::array paths(const BgpDesired& desired) {
  json::array out;
  for (const auto& [route, path] : desired.routes)
    out.push_back({{"address", route.address.to_string()},
                   {"prefixLength", route.length()},
                   {"nextHop", route.next_hop.to_string()},
                   {"offers", offers(path, desired)}});
  return out;
}

json::object desired_bgp(const BgpSpeaker& speaker) {
  const BgpDesired& desired = speaker.desired();
  json::object out;
  if (desired.global)
    out["global"] = {{"as", desired.global->as}, {"routerId", desired.global->router_id}, {"listenPort", desired.global->listen_port}};
  json::array peers;
  for (const BgpPeerConfig& peer : desired.peers)
    peers.push_back({{"object", peer.object},
                     {"neighbor", peer.neighbor.to_string()},
                     {"peerAs", peer.peer_as},
                     {"password", !peer.auth_password.empty()}});
  out["peers"] = std::move(peers);
  json::array ranges;
  for (const BgpNeighborRange& range : speaker.ranges()) ranges.push_back({{"object", range.object}, {"neighbors", range.text}});
  out["ranges"] = std::move(ranges);
  json::array problems;
  for (const BgpProblem& problem : speaker.problems())
    problems.push_back({{"kind", problem.kind}, {"name", problem.name}, {"text", problem.text}});
  out["problems"] = std::move(problems);
  json::object excluded;
  for (const auto& [node, why] : speaker.route_plan().nodes.excluded) excluded[node] = to_string(why);
  out["excludedNodes"] = std::move(excluded);
  out["paths"] = paths(desired);
  return out;
}

json::object actual_bfd(const BgpSpeaker& speaker) {
  json::array sessions;
  for (const BfdStatus& session : speaker.bfd().sessions) {
    const auto held = speaker.bfd_verdict().held.find(session.neighbor);
    sessions.push_back({{"neighbor", session.neighbor.to_string()},
                        {"state", session.state},
                        {"remoteState", session.remote_state},
                        {"transmitSeconds", seconds(session.transmit_interval)},
                        {"detectionSeconds", seconds(session.detection_time)},
                        {"lastDown", session.last_down},
                        {"sendError", session.send_error},
                        {"bgpHeldDown", held == speaker.bfd_verdict().held.end() ? "" : held->second}});
  }
  json::object drops;
  for (const auto& [reason, count] : speaker.bfd().drops) drops[reason] = count;
  return {{"sessions", std::move(sessions)}, {"drops", std::move(drops)}, {"trouble", speaker.bfd().trouble}};
}

json::object actual_bgp(const BgpSpeaker& speaker, const BgpEngine& engine) {
  json::object routes;
  for (const auto& [route, path] : engine.routes()) {
    json::value& hops = routes[route.address.to_string()];
    if (hops.is_null()) hops = json::array{};
    hops.as_array().push_back(json::value(route.next_hop.to_string()));
  }
  json::array sessions;
  for (const BgpPeerStatus& session : speaker.sessions())
    sessions.push_back({{"neighbor", session.neighbor_address},
                        {"state", to_string(session.session_state)},
                        {"uptime", session.uptime},
                        {"addPathSend", session.add_path_send},
                        {"gracefulRestart", session.graceful_restart},
                        {"lastError", session.last_error}});
  return {{"running", engine.running()},
          {"routes", std::move(routes)},
          {"sessions", std::move(sessions)},
          {"bfd", actual_bfd(speaker)},
          {"lastError", speaker.last_error()}};
}

}  // namespace

std::string render_debug_state(const DebugState& state) {
  json::object out{{"leading", state.leading}, {"world", world(*state.world)}};
  json::object desired;
  if (state.controller != nullptr) {
    const AddressPlanner& planner = state.controller->planner();
    desired["addresses"] = {{"allocated", planner.allocated()},
                            {"pending", pending(planner.all_pending(false))},
                            {"misaddressed", pending(planner.all_pending(true))}};
  }
  if (state.speaker != nullptr) {
    desired["announcements"] = announcements(*state.speaker);
    desired["bgp"] = desired_bgp(*state.speaker);
  }
  out["desired"] = std::move(desired);
  if (state.speaker != nullptr && state.engine != nullptr) out["actual"] = {{"bgp", actual_bgp(*state.speaker, *state.engine)}};
  return json::serialize(out);
}

}  // namespace berth
