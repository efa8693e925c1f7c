// The bodies of our writes, as JSON text. Pure.
#pragma once

#include <string>

#include "base/time.hpp"
#include "kube/api_types.hpp"
#include "model/objects.hpp"
#include "model/service_patch.hpp"
#include "reconcile/cluster.hpp"

namespace berth::kube {

// The whole AddressBlock object; uid and resourceVersion only where it exists already.
std::string encode(const AddressBlock& block);
std::string encode(const api::Lease& lease);

// Merge patches (RFC 7386).
std::string merge_patch(const ServicePatch& patch);
std::string finalizers_patch(const Uid& uid, const ResourceVersion& version, const std::vector<std::string>& finalizers);
std::string conf_status_patch(const std::string& node, const std::optional<BgpConf::NodeStatus>& status);
std::string peer_status_patch(const std::string& node, const std::optional<BgpPeerStatus>& status);
std::string peer_sessions_patch(const BgpSessions& sessions);

// A JSON patch (RFC 6902) that replaces the whole status: a merge patch would keep addresses that are gone.
std::string pool_status_patch(const Pool::Status& status);

// Deletion of exactly this object as it was read.
std::string delete_options(const Uid& uid, const ResourceVersion& version);

// A core/v1 Event that happened once, and the patch that counts it up.
std::string new_event(const EventRecord& event, const std::string& space, const std::string& name, WallTime now);
std::string repeated_event_patch(std::uint64_t count, WallTime now);

}  // namespace berth::kube
