// Users: people and programs that create, edit, delete, wipe and restore Services, pools and namespaces,
// each run with its own mixture. They see the store as it is and never wait for anybody.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rng.hpp"
#include "store.hpp"

namespace berth::sim {

class Users {
 public:
  Users(SimStore& store, SimRng& rng);

  void begin();  // the first pools and Services
  // One deed; what it was.
  std::string act();
  void delete_everything();
  [[nodiscard]] std::uint64_t deeds() const { return deeds_; }

 private:
  struct Deed {
    double weight = 0;
    std::function<std::string()> act;
  };
  void draw_mixture();
  [[nodiscard]] double some_weight();

  std::string create();
  std::string create(const ObjectName& name, Service service);
  [[nodiscard]] Service new_service(const ObjectName& name);
  std::string restore(bool with_status);
  std::string remove();
  std::string force_away();
  std::string make_anew();
  std::string edit(const std::function<void(Service&)>& change, std::string_view what);
  void toggle_type(Service& service);
  void toggle_class(Service& service);
  void toggle_opt_in(Service& service);
  void toggle_pool(Service& service);
  void toggle_wanted(Service& service);
  void toggle_families(Service& service);
  void toggle_sharing(Service& service);
  void change_ports(Service& service);
  void toggle_mode(Service& service);
  void wipe(Service& service);

  [[nodiscard]] Pool new_pool(const std::string& name);
  std::string edit_pool();
  void change_pool(Pool& pool);
  void draw_rules(Pool& pool);
  std::string relabel_namespace();

  [[nodiscard]] std::optional<Service> any_service();
  [[nodiscard]] std::string some_address();
  [[nodiscard]] std::string some_pool();
  [[nodiscard]] std::string some_pools();
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[rng_.below(all.size())];
  }

  SimStore& store_;
  SimRng& rng_;
  std::vector<Deed> deeds_of_;
  double total_ = 0;
  std::vector<ObjectName> names_;
  std::map<ObjectName, Service> seen_;  // as last seen, for restores
  std::optional<ObjectName> again_;     // often the same one: people change their minds
  double moody_ = 0;
  double ruled_ = 0;   // share of pools with rules beyond OpenELB's
  double sharing_ = 0;
  double dual_ = 0;
  std::uint64_t deeds_ = 0;
  std::uint64_t made_ = 0;
};

// spec.address as written and all that decoding makes of it.
void set_address(Pool& pool, const std::string& address, const std::string& exclude = "");

}  // namespace berth::sim
