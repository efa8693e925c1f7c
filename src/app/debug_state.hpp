// /debug/state: World, Desired and Actual as JSON, so that every "why" has an answer. No secrets.
#pragma once

#include <string>

#include "model/world.hpp"
#include "reconcile/controller.hpp"
#include "speak/bgp/speaker.hpp"

namespace berth {

struct DebugState {
  const World* world = nullptr;
  bool leading = false;
  const Controller* controller = nullptr;  // null while another leads
  const BgpSpeaker* speaker = nullptr;     // null for the controller alone
  const BgpEngine* engine = nullptr;
};

std::string render_debug_state(const DebugState& state);

}  // namespace berth
