#include "openelb.hpp"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace berth::openelb {
namespace {

using ::testing::AssertionFailure;
using ::testing::AssertionResult;
using ::testing::AssertionSuccess;

std::string addresses_of(const Service& service) {
  std::string out;
  for (const Ingress& entry : service.ingress)
    if (!entry.ip.empty()) out += (out.empty() ? "" : ",") + entry.ip;
  return out;
}

bool has_finalizer(const Service& service) {
  return std::ranges::find(service.finalizers, keys::service_finalizer) != service.finalizers.end();
}

// A value under one key, itself under `above`.
json::object only(std::string_view above, std::string_view key, json::value value) {
  json::object inner;
  inner[key] = std::move(value);
  json::object outer;
  outer[above] = std::move(inner);
  return {{"metadata", std::move(outer)}};
}

}  // namespace

OpenElb::OpenElb() {
  for (const char* name : {"shop", "bank"}) subject_->create(Kind::namespace_, {{"metadata", {{"name", name}}}});
}

void OpenElb::TearDown() {
  if (!running_) start();
  subject_->clear();
  const bool clean = eventually([this] { return subject_->versions().empty(); });
  if (!clean)
    for (const auto& [what, version] : subject_->versions()) ADD_FAILURE() << what << " is left";
  kill();
}

void OpenElb::start(const Faults& faults) {
  subject_->start_controller(faults);
  running_ = true;
}
void OpenElb::kill() {
  subject_->kill_controller();
  running_ = false;
}

// Kinds are heard one by one: what is done next counts on the controller to know of an Eip or a Namespace.
void OpenElb::make_eip(const Eip& eip) {
  json::object spec = eip.spec;
  spec["address"] = eip.address;
  json::object manifest{
      {"metadata",
       {{"name", eip.name}, {"annotations", json::value_from(eip.annotations)}, {"finalizers", json::value_from(eip.finalizers)}}},
      {"spec", std::move(spec)}};
  if (!eip.status.empty()) manifest["status"] = eip.status;
  subject_->create(Kind::eip, std::move(manifest));
  if (running_) settle();
}
void OpenElb::edit_eip(const std::string& name, json::object spec) {
  subject_->patch(eip_id(name), {{"spec", std::move(spec)}});
  if (running_) settle();
}
void OpenElb::annotate_eip(const std::string& name, std::string_view key, json::value value) {
  subject_->patch(eip_id(name), only("annotations", key, std::move(value)));
  if (running_) settle();
}
void OpenElb::delete_eip(const std::string& name) {
  subject_->remove(eip_id(name));
  if (running_) settle();
}
void OpenElb::make_service(const std::string& name, const Wish& wish) {
  const ObjectName full = name_of(name);
  Labels annotations = wish.annotations;
  if (!wish.opt_in.empty()) annotations.emplace(keys::opt_in, wish.opt_in);
  json::object spec = wish.spec;
  if (!spec.contains("type")) spec["type"] = "LoadBalancer";
  if (!spec.contains("ports")) spec["ports"] = json::array{json::object{{"port", 80}}};
  json::object manifest{{"metadata",
                         {{"name", full.name},
                          {"namespace", full.space},
                          {"labels", json::value_from(wish.labels)},
                          {"annotations", json::value_from(annotations)},
                          {"finalizers", json::value_from(wish.finalizers)}}},
                        {"spec", std::move(spec)}};
  if (!wish.shows.empty()) {
    json::array ingress;
    for (const std::string& ip : wish.shows) ingress.emplace_back(json::object{{"ip", ip}});
    manifest["status"] = json::object{{"loadBalancer", json::object{{"ingress", std::move(ingress)}}}};
  }
  subject_->create(Kind::service, std::move(manifest));
}
void OpenElb::edit(const std::string& service, json::object spec) { subject_->patch(service_id(service), {{"spec", std::move(spec)}}); }
void OpenElb::annotate(const std::string& service, std::string_view key, json::value value) {
  subject_->patch(service_id(service), only("annotations", key, std::move(value)));
}
void OpenElb::delete_service(const std::string& name) { subject_->remove(service_id(name)); }
void OpenElb::label_namespace(const std::string& name, std::string_view key, json::value value) {
  subject_->patch({Kind::namespace_, "", name}, only("labels", key, std::move(value)));
  if (running_) settle();
}

ObjectName OpenElb::name_of(const std::string& service) {
  const std::size_t slash = service.find('/');
  if (slash == std::string::npos) return {"shop", service};
  return {service.substr(0, slash), service.substr(slash + 1)};
}
ObjectId OpenElb::service_id(const std::string& service) {
  const ObjectName name = name_of(service);
  return {Kind::service, name.space, name.name};
}

std::string OpenElb::shown(const std::string& service) {
  const auto found = subject_->service(name_of(service));
  return found ? addresses_of(*found) : "gone";
}
Service OpenElb::see(const std::string& service) { return subject_->service(name_of(service)).value_or(Service{}); }
Pool OpenElb::see_eip(const std::string& name) { return subject_->pool(name).value_or(Pool{}); }
std::string OpenElb::holders(const std::string& address) {
  std::string out;
  const auto records = subject_->records();
  const auto found = records.find(IpAddress::parse(address).value());
  if (found == records.end()) return out;
  for (const Holder& holder : found->second.holders) out += (out.empty() ? "" : ";") + holder.service.to_string();
  return out;
}
std::vector<std::string> OpenElb::path_of(const std::string& service) {
  std::vector<std::string> out;
  for (const Service& version : subject_->history(name_of(service)))
    if (out.empty() || out.back() != addresses_of(version)) out.push_back(addresses_of(version));
  return out;
}
bool OpenElb::is_marked(const std::string& service) {
  const Service now = see(service);
  return now.has_pool_label || has_finalizer(now);
}
std::vector<Told> OpenElb::events(const std::string& service) { return subject_->events(service_id(service)); }
std::vector<Told> OpenElb::events_of_eip(const std::string& name) { return subject_->events(eip_id(name)); }

AssertionResult OpenElb::gets(const std::string& service, const std::string& addresses) {
  if (eventually([&] { return shown(service) == addresses; })) return AssertionSuccess();
  return AssertionFailure() << situation(service) << " instead of \"" << addresses << "\"";
}
AssertionResult OpenElb::keeps(const std::string& service, const std::string& addresses) {
  if (auto has = gets(service, addresses); !has) return has;
  settle();
  const auto path = path_of(service);
  if (shown(service) != addresses || std::ranges::count(path, addresses) > 1)
    return AssertionFailure() << situation(service) << " instead of \"" << addresses << "\"; it showed \""
                              << fmt::format("{}", fmt::join(path, "\", \"")) << "\"";
  return AssertionSuccess();
}
AssertionResult OpenElb::waits(const std::string& service) {
  settle();
  if (shown(service).empty()) return AssertionSuccess();
  return AssertionFailure() << situation(service) << " instead of nothing";
}
AssertionResult OpenElb::lets_go(const std::string& service) {
  const auto is_held = [&] {
    return std::ranges::any_of(subject_->records(), [&](const auto& item) {
      return std::ranges::find(item.second.holders, name_of(service), &Holder::service) != item.second.holders.end();
    });
  };
  if (eventually([&] { return shown(service).empty() && !is_marked(service) && !is_held(); })) return AssertionSuccess();
  return AssertionFailure() << situation(service) << (is_marked(service) ? ", has our label or finalizer" : "")
                            << (is_held() ? ", is recorded" : "");
}
AssertionResult OpenElb::vanishes(const std::string& service) {
  if (!eventually([&] { return !subject_->service(name_of(service)); })) return AssertionFailure() << situation(service) << " and stays";
  if (eventually([&] {
        return std::ranges::none_of(subject_->records(), [&](const auto& item) {
          return std::ranges::find(item.second.holders, name_of(service), &Holder::service) != item.second.holders.end();
        });
      }))
    return AssertionSuccess();
  return AssertionFailure() << service << " is gone, but recorded";
}

AssertionResult OpenElb::found(const ObjectId& about, std::string_view reason, std::string_view text, bool whole) {
  const auto fits = [&](const Told& told) {
    return told.reason == reason && (whole ? told.message == text : told.message.find(text) != std::string::npos);
  };
  if (eventually([&] { return std::ranges::any_of(subject_->events(about), fits); })) return AssertionSuccess();
  auto out = AssertionFailure() << "no Event " << reason << " \"" << text << "\"; these there are:";
  for (const Told& told : subject_->events(about)) out << "\n  " << told.reason << ": " << told.message;
  return out;
}
AssertionResult OpenElb::told(const std::string& service, std::string_view reason, std::string_view message) {
  return found(service_id(service), reason, message, true);
}
AssertionResult OpenElb::told_part(const std::string& service, std::string_view reason, std::string_view part) {
  return found(service_id(service), reason, part, false);
}
AssertionResult OpenElb::eip_told_part(const std::string& eip, std::string_view reason, std::string_view part) {
  return found(eip_id(eip), reason, part, false);
}
AssertionResult OpenElb::eip_says(const std::string& name, const std::function<bool(const Pool::Status&)>& so) {
  if (eventually([&] { return so(see_eip(name).status); })) return AssertionSuccess();
  const Pool::Status s = see_eip(name).status;
  return AssertionFailure() << fmt::format("eip {}: usage {} of {}, occupied {}, used {}, {}-{}", name, s.usage, s.pool_size, s.occupied,
                                           s.used, s.first_ip, s.last_ip);
}

bool OpenElb::nothing_is_written() {
  settle();
  const auto before = subject_->versions();
  settle();
  return subject_->versions() == before;
}

std::string OpenElb::situation(const std::string& service) {
  std::string out = fmt::format("{} shows \"{}\"", service, shown(service));
  for (const Told& told : events(service)) out += fmt::format(" [{}: {}]", told.reason, told.message);
  return out;
}

}  // namespace berth::openelb
