#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace berth {

void check_failed(std::string_view condition, std::string_view why, const char* file, int line) {
  std::fprintf(stderr, "level=fatal event=check_failed condition=\"%.*s\" why=\"%.*s\" at=%s:%d\n", static_cast<int>(condition.size()),
               condition.data(), static_cast<int>(why.size()), why.data(), file, line);
  std::fflush(nullptr);
  std::abort();
}

}  // namespace berth
