// `berth migrate`: reads files or a cluster, prints, and ends. It changes nothing.
#pragma once

#include "app/flags.hpp"

namespace berth {

// The exit status: 0 done (with --check: nothing would change), 1 something would, 2 what was given can't be read.
int run_migrate(const Flags& flags);

}  // namespace berth
