// One write to a Service's /status that carries metadata too: a PATCH of the status subresource of
// Services accepts both (seen on Kubernetes 1.34). uid and version are preconditions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/objects.hpp"

namespace berth {

struct ServicePatch {
  ObjectName name;
  Uid uid;
  ResourceVersion version;
  std::map<std::string, std::optional<std::string>> labels;       // nullopt removes
  std::map<std::string, std::optional<std::string>> annotations;  // nullopt removes
  std::optional<std::vector<std::string>> finalizers;             // the full list
  std::optional<std::vector<Ingress>> ingress;                    // the full list
  std::optional<std::vector<Condition>> conditions = {};          // the full list
  [[nodiscard]] bool changes_nothing() const { return labels.empty() && annotations.empty() && !finalizers && !ingress && !conditions; }
  bool operator==(const ServicePatch&) const = default;
};

}  // namespace berth
