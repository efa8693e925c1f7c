// `berth drain NODE`: sets the label node.kubernetes.io/exclude-from-external-load-balancers, and waits until no speaker says in
// BgpConf's status.nodesConfStatus that it announces the node. From a workstation or a node: Berth's own service account must not
// change Nodes.
#pragma once

#include "app/flags.hpp"

namespace berth {

// 0: done; 1: not within the time; 2: the label could not be set, or taken off.
int run_drain_command(const Flags& flags);

}  // namespace berth
