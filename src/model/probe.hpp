// Probes of nodes: whom to ask, and who answers.
#pragma once

#include <map>
#include <string>

#include "model/ip_address.hpp"

namespace berth {

using ProbeTargets = std::map<std::string, IpAddress>;  // node -> its InternalIP

// node -> whether it answers. A node that never answered is not in it: nothing is known of it.
using AnsweringNodes = std::map<std::string, bool>;

}  // namespace berth
