#include "base/log.hpp"

namespace berth::log {
namespace {
Sink& sink() {
  static Sink current;
  return current;
}
}  // namespace

void set_sink(Sink next) { sink() = std::move(next); }

void write(Level level, std::string_view event, Fields fields) {
  if (sink()) sink()(level, event, fields);
}

}  // namespace berth::log
