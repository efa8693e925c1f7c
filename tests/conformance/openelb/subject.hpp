// What the suite is run against: an API server, the production controller on it, and the hands of users.
// sim_subject.cpp is its body in virtual time, api_subject.cpp the one on a real API server. Objects are
// written as manifests, so that both read them as Berth does.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "model/objects.hpp"

namespace berth::openelb {

namespace json = boost::json;

enum class Kind : std::uint8_t { service, eip, bgp_conf, bgp_peer, namespace_, node };

struct ObjectId {
  Kind kind;
  std::string space;  // of Services only
  std::string name;
  auto operator<=>(const ObjectId&) const = default;
};

// An Event as people see it.
struct Told {
  bool warning = false;
  std::string component;
  std::string reason;
  std::string message;
  std::int64_t count = 1;
};

// What is wrong with a controller's way to the API server.
struct Faults {
  // After so many writes it hangs: the last one is carried out, but its answer is never heard.
  std::uint64_t hangs_after = std::numeric_limits<std::uint64_t>::max();
  bool service_writes_refused = false;  // as without the right to them
};

class Subject {
 public:
  virtual ~Subject() = default;

  // What users and other programs do. `manifest` has no apiVersion; a status in it is written too.
  virtual void create(Kind kind, json::object manifest) = 0;
  // A merge patch (RFC 7386); what it says of the status goes to the subresource.
  virtual void patch(const ObjectId& id, json::object change) = 0;
  virtual void remove(const ObjectId& id) = 0;

  // Fresh reads; nullopt: not found.
  virtual std::optional<Service> service(const ObjectName& name) = 0;
  virtual std::optional<Pool> pool(const std::string& name) = 0;
  virtual std::optional<std::vector<std::string>> finalizers(const ObjectId& id) = 0;
  virtual std::map<IpAddress, BlockEntry> records() = 0;
  // Every version of a Service so far, the first one first; of all that had this name.
  virtual std::vector<Service> history(const ObjectName& name) = 0;
  virtual std::vector<Told> events(const ObjectId& about) = 0;
  // Versions of everything that a controller writes: equal when nothing was written in between.
  virtual std::map<std::string, std::string> versions() = 0;

  // One controller at a time. It has its events and its memory for itself.
  virtual void start_controller(const Faults& faults) = 0;
  virtual void kill_controller() = 0;
  virtual bool controller_hangs() = 0;  // after its last write

  // Lets things happen until `done`; false if that takes too long.
  virtual bool eventually(const std::function<bool()>& done) = 0;
  // Lets things happen until the controller has heard everything and has nothing left to do, but for an
  // Eip's status, which may follow later.
  virtual void settle() = 0;
  // Takes away all that a test made.
  virtual void clear() = 0;
};

// The body that this program is linked with.
std::unique_ptr<Subject> make_subject();

}  // namespace berth::openelb
