// BERTH_CHECK: a condition that only a bug of ours can break. On in release builds; says what and
// where, then aborts. Restart is cheap and loses no route, which is what makes aborting the safe answer.
#pragma once

#include <string_view>

namespace berth {

[[noreturn]] void check_failed(std::string_view condition, std::string_view why, const char* file, int line);

}  // namespace berth

#define BERTH_CHECK(condition, why)                                               \
  do {                                                                            \
    if (!(condition)) ::berth::check_failed(#condition, why, __FILE__, __LINE__); \
  } while (false)
