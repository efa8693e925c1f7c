// What becomes of a World if a controller of Berth works on it and nothing else happens: the production planner, and its
// writes done as the API server would do them. Pure.
#pragma once

#include "plan/allocate.hpp"

namespace berth {

struct Settled {
  World world;
  std::map<ObjectName, Pending> pending;  // Services that do not have all they ask for, and why
  std::map<std::string, Pool::Status> pools;
  bool done = false;  // false: it still wrote when we stopped looking, which would be a bug of the planner
};

Settled settle(World world, const AllocationOptions& options);

}  // namespace berth
