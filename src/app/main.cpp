#include <malloc.h>

#include <cstdio>

#include "app/bgp_command.hpp"
#include "app/drain_command.hpp"
#include "app/flags.hpp"
#include "app/migrate.hpp"
#include "app/process.hpp"

namespace {

// What a long list took goes back to the system when it is done: by itself glibc would raise its thresholds with it, and keep it.
void give_memory_back() {
  constexpr int bytes = 128 << 10;
  ::mallopt(M_MMAP_THRESHOLD, bytes);
  ::mallopt(M_TRIM_THRESHOLD, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  give_memory_back();
  const berth::FlagsOrExit parsed = berth::parse_flags(argc, argv);
  if (!parsed.flags) return parsed.exit_code;
  if (parsed.flags->role == berth::Role::version) {
    std::puts(R"({"name":"berth","version":")" BERTH_VERSION R"("})");
    return 0;
  }
  if (parsed.flags->role == berth::Role::bgp) return berth::run_bgp_command(*parsed.flags);
  if (parsed.flags->role == berth::Role::drain) return berth::run_drain_command(*parsed.flags);
  if (parsed.flags->role == berth::Role::migrate) return berth::run_migrate(*parsed.flags);
  return berth::run_process(*parsed.flags);
}
