// A message of router discovery: the hop limit, then what came. Whatever it is, nothing is read beyond its end; and what is taken is one
// of the two types, from a neighbour, with code 0.
#include <cstdint>
#include <vector>

#include "base/check.hpp"
#include "wire/router_discovery.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth;
  if (size == 0) return 0;
  const std::vector<std::uint8_t> message(data + 1, data + size);  // of its own, so that its end is watched
  if (const auto type = parse_router_message(message, data[0])) {
    BERTH_CHECK(data[0] == 255 && message.size() >= 8 && message[1] == 0, "only from a neighbour");
    BERTH_CHECK(message[0] == static_cast<std::uint8_t>(*type), "it is what it says");
  }
  return 0;
}
