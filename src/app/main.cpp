#include <cstdio>

#include "app/flags.hpp"
#include "app/migrate.hpp"
#include "app/process.hpp"

int main(int argc, char** argv) {
  const berth::FlagsOrExit parsed = berth::parse_flags(argc, argv);
  if (!parsed.flags) return parsed.exit_code;
  if (parsed.flags->role == berth::Role::version) {
    std::puts(R"({"name":"berth","version":")" BERTH_VERSION R"("})");
    return 0;
  }
  if (parsed.flags->role == berth::Role::migrate) return berth::run_migrate(*parsed.flags);
  return berth::run_process(*parsed.flags);
}
