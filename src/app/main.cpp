#include <cstdio>

#include "app/flags.hpp"
#include "app/process.hpp"

int main(int argc, char** argv) {
  const berth::FlagsOrExit parsed = berth::parse_flags(argc, argv);
  if (!parsed.flags) return parsed.exit_code;
  if (parsed.flags->role == berth::Role::version) {
    std::puts(R"({"name":"berth","version":")" BERTH_VERSION R"("})");
    return 0;
  }
  return berth::run_process(*parsed.flags);
}
