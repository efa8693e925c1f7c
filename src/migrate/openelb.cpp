#include "migrate/openelb.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "migrate/settle.hpp"
#include "plan/admission.hpp"
#include "plan/bgp_config.hpp"

namespace berth {
namespace {

using Addresses = std::set<IpAddress>;

constexpr std::string_view protocol_key = "protocol.openelb.kubesphere.io/v1alpha1";  // 0.5; ignored since 0.6
constexpr std::size_t named_in_a_line = 5;

std::string to_text(const Addresses& addresses) {
  std::string out;
  for (const IpAddress& ip : addresses) out += (out.empty() ? "" : ", ") + ip.to_string();
  return out.empty() ? "none" : out;
}
std::string to_text(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), named_in_a_line); ++i) out += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > named_in_a_line) out += fmt::format(" and {} more", names.size() - named_in_a_line);
  return out;
}

Addresses shown(const Service& service) {
  Addresses out;
  for (const Ingress& entry : service.ingress)
    if (const auto ip = IpAddress::parse(entry.ip)) out.insert(*ip);
  return out;
}

bool openelb_serves(const Service& service) {
  if (service.has_pool_label) return true;
  const auto opt_in = service.annotations.find(keys::opt_in);
  return service.type == ServiceType::load_balancer && opt_in != service.annotations.end() && opt_in->second == keys::opt_in_value;
}

class Checking {
 public:
  Checking(const World& world, const AllocationOptions& options) : world_(world), options_(options), after_(settle(world, options)) {
    for (const auto& [name, pool] : world.pools.rows())
      for (const auto& [text, services] : pool.status.used)
        if (const auto ip = IpAddress::parse(text))
          for (const std::string& service : split(services)) recorded_[service].insert(*ip);
    for (const auto& [name, service] : world.services.rows())
      if (openelb_serves(service))
        for (const IpAddress& ip : had(service)) users_[ip].push_back(&service);
    for (const auto& [name, block] : after_.world.blocks.rows())
      for (const auto& [ip, entry] : block.addresses)
        for (const Holder& holder : entry.holders)
          if (holder.state == HolderState::held) holds_[holder.service].insert(ip);
  }

  CheckReport check() {
    if (!after_.done) change("Berth", "the planner did not come to an end: please report this");
    for (const auto& [name, service] : world_.services.rows()) check_service(service);
    if (world_.pools.rows().empty()) note("Eip", "there is none, so nothing gives addresses here: is this the cluster that was meant?");
    for (const auto& [name, pool] : world_.pools.rows()) check_pool(pool);
    check_bgp();
    return std::move(report_);
  }

 private:
  void change(std::string object, std::string text) { report_.changes.push_back({std::move(object), std::move(text)}); }
  void note(std::string object, std::string text) { report_.notes.push_back({std::move(object), std::move(text)}); }

  static std::vector<std::string> split(const std::string& services) {
    std::vector<std::string> out;
    for (std::size_t begin = 0; begin <= services.size();) {
      const std::size_t end = std::min(services.find(';', begin), services.size());
      if (end > begin) out.push_back(services.substr(begin, end - begin));
      begin = end + 1;
    }
    return out;
  }

  // -- Services ------------------------------------------------------------------------------------

  [[nodiscard]] Addresses had(const Service& service) const {
    Addresses out = shown(service);
    if (!out.empty()) return out;
    const auto recorded = recorded_.find(service.name.to_string());
    return recorded == recorded_.end() ? out : recorded->second;
  }
  // What it shows and what is its own by the record: only that is announced.
  [[nodiscard]] static Addresses has(const Settled& settled, const std::map<ObjectName, Addresses>& holds, const ObjectName& name) {
    const Service* service = settled.world.services.find(name);
    const auto held = holds.find(name);
    if (service == nullptr || held == holds.end()) return {};
    Addresses out;
    std::ranges::set_intersection(shown(*service), held->second, std::inserter(out, out.end()));
    return out;
  }

  void check_service(const Service& service) {
    const std::string object = "Service " + service.name.to_string();
    const Addresses after = has(after_, holds_, service.name);
    if (!openelb_serves(service)) {
      if (!after.empty()) note(object, fmt::format("OpenELB does not serve it; it would get {}", to_text(after)));
      return;
    }
    note_protocol(object, service, after);
    const Addresses before = had(service);
    if (service.deleting) return;  // it goes, here as there
    if (before.empty()) {
      if (!after.empty())
        note(object, fmt::format("has no address; it would get {}", to_text(after)));
      else
        ++report_.without;
      return;
    }
    if (std::ranges::includes(after, before)) {
      ++report_.kept;
      if (after.size() > before.size()) note(object, fmt::format("keeps {}; it would have {}", to_text(before), to_text(after)));
      return;
    }
    const auto judged = judge_claim(service, options_.classless);
    if (const SkipReason* skip = std::get_if<SkipReason>(&judged))
      change(object, fmt::format("has {}; it would be left alone: {}", to_text(before), why_skipped(service, *skip)));
    else
      change(object, fmt::format("has {}; it would have {}: {}", to_text(before), to_text(after), why(service, before)));
  }

  void note_protocol(const std::string& object, const Service& service, const Addresses& after) {
    const auto wanted = service.annotations.find(protocol_key);
    if (wanted == service.annotations.end()) return;
    for (const IpAddress& ip : after)
      for (const auto& [name, pool] : world_.pools.rows())
        if (pool.contains(ip) && to_string(pool.protocol) != wanted->second) {
          note(object, fmt::format("its annotation {}: {} means nothing, as in OpenELB 0.6: Eip {} is {}", protocol_key, wanted->second,
                                   name, to_string(pool.protocol)));
          return;
        }
  }

  std::string why(const Service& service, const Addresses& before) {
    for (const IpAddress& ip : before)
      if (const auto users = users_.find(ip); users != users_.end() && users->second.size() > 1)
        return why_not_shared(service, ip, users->second);
    const auto pending = after_.pending.find(service.name);
    if (pending != after_.pending.end()) return pending->second.text();
    return "it asks for another one (annotations, spec.loadBalancerIP), or no Eip has it";
  }

  static std::string why_skipped(const Service& service, SkipReason reason) {
    switch (reason) {
      case SkipReason::foreign_class:
        return fmt::format(
            "its spec.loadBalancerClass is {}: OpenELB does not look at it, Berth leaves the Service to that implementation. A "
            "class can't be changed: make it anew without one, or with {}",
            *service.load_balancer_class, keys::load_balancer_class);
      case SkipReason::node_proxy: return fmt::format("annotation {}: Berth has no NodeProxy", keys::node_proxy);
      case SkipReason::not_opted_in:
      case SkipReason::unknown_opt_in_value:
      case SkipReason::not_load_balancer:
      case SkipReason::deleting: break;
    }
    return fmt::format("it does not ask for one ({}): OpenELB would take it away at its next look, too", to_string(reason));
  }

  std::string why_not_shared(const Service& service, const IpAddress& ip, const std::vector<const Service*>& users) {
    std::vector<std::string> others;
    bool same_namespace = true;
    for (const Service* user : users) {
      if (user->name != service.name) others.push_back(user->name.to_string());
      same_namespace = same_namespace && user->name.space == service.name.space;
    }
    const Settled& shared = with_sharing();
    std::string out = fmt::format("it shares {} with {} without anybody's consent. ", ip.to_string(), to_text(others));
    if (has(shared, shared_holds_, service.name).contains(ip)) {
      std::vector<std::string> pools;
      for (const auto& [name, pool] : world_.pools.rows())
        if (pool.contains(ip)) pools.push_back(name);
      return out + fmt::format(
                       "Before you start Berth, set spec.implicitSharing: true in Eip {} (OpenELB's way), or give all of them the "
                       "same annotation {}{}",
                       to_text(pools), keys::sharing_key,
                       same_namespace ? "" : fmt::format(" and {}, naming each other's namespaces", keys::sharing_namespaces));
    }
    const auto pending = shared.pending.find(service.name);
    return out + "Berth does not allow that, with consent either: " +
           (pending == shared.pending.end() ? "it does not ask for that address" : pending->second.text());
  }

  // What would be with every Eip's spec.implicitSharing on.
  const Settled& with_sharing() {
    if (shared_) return *shared_;
    World world = world_;
    for (const auto& [name, pool] : world_.pools.rows()) {
      Pool open = pool;
      open.implicit_sharing = true;
      world.pools.upsert(std::move(open));
    }
    shared_ = settle(std::move(world), options_);
    for (const auto& [name, block] : shared_->world.blocks.rows())
      for (const auto& [ip, entry] : block.addresses)
        for (const Holder& holder : entry.holders)
          if (holder.state == HolderState::held) shared_holds_[holder.service].insert(ip);
    return *shared_;
  }

  // -- Eips ----------------------------------------------------------------------------------------

  void check_pool(const Pool& pool) {
    const std::string object = "Eip " + pool.name;
    std::vector<std::string> users;
    for (const auto& [ip, services] : users_)
      if (pool.contains(ip))
        for (const Service* service : services) users.push_back(service->name.to_string());
    if (pool.protocol != Protocol::bgp && !users.empty())
      change(object,
             fmt::format("its protocol is {}: Berth gives such addresses out, but does not announce them yet. These Services would be "
                         "reachable no more: {}",
                         to_string(pool.protocol), to_text(users)));
    if (!pool.invalid.empty()) {
      note(object, "can't be used: " + pool.invalid);
      return;
    }
    const Admission said = judge_pool(nullptr, pool, world_);
    if (!said.allowed()) note(object, "stays, but would not be accepted if it were made now: " + said.refusal);
    std::vector<std::string> gone;
    for (const auto& [ip, services] : pool.status.used)
      for (const std::string& service : split(services)) {
        const std::size_t slash = service.find('/');
        const ObjectName name{service.substr(0, slash), slash == std::string::npos ? "" : service.substr(slash + 1)};
        if (world_.services.find(name) == nullptr) gone.push_back(ip + " (" + service + ")");
      }
    if (!gone.empty()) note(object, "status.used has addresses of Services that are gone; they would be free: " + to_text(gone));
  }

  // -- BGP -----------------------------------------------------------------------------------------

  void check_bgp() {
    const BgpConf* conf = world_.bgp_confs.find("default");
    if (conf == nullptr) {
      note("BgpConf default", "is not there: nothing is announced by BGP, here as there");
      return;
    }
    if (!conf->policy.empty())
      note("BgpConf default", "spec.policy: what it says of import has no effect, since Berth accepts no routes; the rest works as there");
    if (!conf->graceful_restart || !conf->graceful_restart->enabled.value_or(false))
      note("BgpConf default",
           "graceful restart is on in Berth unless spec.gracefulRestart.enabled is false: routers keep routes while it restarts");
    if (conf->listen_port == 0 && !std::ranges::any_of(world_.bgp_peers.rows(), [](const auto& row) { return row.second.passive; }))
      note("BgpConf default", "spec.listenPort is not set: OpenELB listens on 179, Berth only calls its routers");
    std::set<BgpProblem> problems;
    for (const auto& [name, node] : world_.nodes.rows())
      for (BgpProblem& problem : plan_bgp_configuration(world_, name, {}).problems) problems.insert(std::move(problem));
    for (const BgpProblem& problem : problems) note(problem.kind + " " + problem.name, problem.text);
  }

  const World& world_;
  const AllocationOptions& options_;
  Settled after_;
  std::map<std::string, Addresses> recorded_;                    // in status.used, by namespace/name
  std::map<IpAddress, std::vector<const Service*>> users_;       // before
  std::map<ObjectName, Addresses> holds_;                        // after
  std::optional<Settled> shared_;
  std::map<ObjectName, Addresses> shared_holds_;
  CheckReport report_;
};

void list(const char* title, const std::vector<CheckReport::Finding>& findings, std::string& out) {
  if (findings.empty()) return;
  out += fmt::format("\n{}:\n", title);
  for (const auto& finding : findings) out += fmt::format("  {}: {}\n", finding.object, finding.text);
}

}  // namespace

std::vector<OpenElbObject> openelb_installation(const std::string& space) {
  const std::string core = "/api/v1/namespaces/" + space + "/";
  const std::string apps = "/apis/apps/v1/namespaces/" + space + "/";
  const std::string rights = "/apis/rbac.authorization.k8s.io/v1/";
  std::vector<OpenElbObject> out;
  const auto add = [&](std::string kind, bool in_space, std::string name, std::string path) {
    path += name;
    out.push_back({std::move(kind), in_space ? space : "", std::move(name), std::move(path)});
  };
  // With failurePolicy Fail and no server they would block all writes to Eips (0.5: to all Services).
  const std::string hooks = "/apis/admissionregistration.k8s.io/v1/";
  add("mutatingwebhookconfiguration", false, "openelb-admission", hooks + "mutatingwebhookconfigurations/");
  add("validatingwebhookconfiguration", false, "openelb-admission", hooks + "validatingwebhookconfigurations/");
  for (const char* name : {"openelb-controller", "openelb-manager"}) add("deployment", true, name, apps + "deployments/");
  for (const char* name : {"openelb-speaker", "openelb-keepalive-vip"}) add("daemonset", true, name, apps + "daemonsets/");
  for (const char* name : {"openelb-admission-create", "openelb-admission-patch"})
    add("job", true, name, "/apis/batch/v1/namespaces/" + space + "/jobs/");
  for (const char* name : {"openelb-controller", "openelb-admission"}) add("service", true, name, core + "services/");
  for (const char* name : {"openelb-admission", "memberlist"}) add("secret", true, name, core + "secrets/");
  for (const char* name : {"openelb-vip-configmap", "openelb-images"}) add("configmap", true, name, core + "configmaps/");
  add("lease", true, "openelb-speaker", "/apis/coordination.k8s.io/v1/namespaces/" + space + "/leases/");
  for (const char* name : {"openelb-admission", "openelb-controller", "openelb-speaker", "openelb-manager", "kube-keepalived-vip"})
    add("serviceaccount", true, name, core + "serviceaccounts/");
  for (const char* name : {"openelb-admission", "leader-election-role"})
    add("role", true, name, rights + "namespaces/" + space + "/roles/");
  for (const char* name : {"openelb-admission", "leader-election-rolebinding"})
    add("rolebinding", true, name, rights + "namespaces/" + space + "/rolebindings/");
  for (const char* name : {"openelb-admission", "openelb-controller", "openelb-speaker", "openelb-manager-role", "kube-keepalived-vip"})
    add("clusterrole", false, name, rights + "clusterroles/");
  for (const char* name :
       {"openelb-admission", "openelb-controller", "openelb-speaker", "openelb-manager-rolebinding", "kube-keepalived-vip"})
    add("clusterrolebinding", false, name, rights + "clusterrolebindings/");
  return out;
}

CheckReport check_openelb(const World& world, const std::optional<std::vector<OpenElbObject>>& found, const AllocationOptions& options) {
  CheckReport out = Checking{world, options}.check();
  std::ranges::sort(out.changes);
  std::ranges::sort(out.notes);
  out.looked_for_installation = found.has_value();
  if (found) out.removals = *found;
  return out;
}

std::string to_text(const CheckReport& report) {
  std::string out = fmt::format(
      "Services that keep their addresses: {}; that have none, and would have none: {}; things that would change: {}\n", report.kept,
      report.without, report.changes.size());
  list("Would change", report.changes, out);
  list("Differs, and changes no address", report.notes, out);
  if (!report.removals.empty()) {
    out += "\nOf OpenELB's own, to be removed in this order, before Berth is installed (not its CRDs: your objects would go with them):\n";
    for (const OpenElbObject& object : report.removals)
      out += fmt::format("  kubectl delete {} {}{}\n", object.kind, object.name, object.space.empty() ? "" : " -n " + object.space);
  }
  if (!report.looked_for_installation) out += "\nOpenELB's own objects were not looked for: run with --kubeconfig instead of files.\n";
  out += report.nothing_changes() ? "\nNothing would change.\n" : "\nSee above for what would change.\n";
  return out;
}

}  // namespace berth
