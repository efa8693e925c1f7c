// One running Berth: all parts made, wired and ended in order. The only place that sees them all.
#pragma once

#include "app/flags.hpp"

namespace berth {

// Runs until SIGTERM or SIGINT. The exit status: 0 after an orderly end, 2 for flags that can't work.
int run_process(const Flags& flags);

}  // namespace berth
