#include "base/time.hpp"

#include <fmt/core.h>

namespace berth {
namespace {

std::string date_and_time(WallTime time) {
  using namespace std::chrono;
  const auto whole = floor<std::chrono::seconds>(time.since_epoch);
  const sys_seconds at{whole};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss clock{at - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

}  // namespace

std::string to_rfc3339(WallTime time) { return date_and_time(time) + "Z"; }

std::string to_rfc3339_micro(WallTime time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time.since_epoch);
  return fmt::format("{}.{:06}Z", date_and_time(time), (time.since_epoch - whole).count());
}

}  // namespace berth
