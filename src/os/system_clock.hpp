// The real bodies of the ports to time and chance.
#pragma once

#include <memory>

#include "base/timers.hpp"

namespace berth {

std::unique_ptr<Timers> make_system_timers(asio::any_io_executor executor);
std::unique_ptr<Rng> make_system_rng();  // seeded by the kernel; not for secrets

}  // namespace berth
