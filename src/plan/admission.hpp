// May this Eip be written? OpenELB's rules that need the other pools, and whether addresses in use would be left out. What
// one object can be judged by, the CRD's own rules refuse first; where these are older, Pool::invalid says it here too.
//
// This is help for people and nothing rests on it: it judges by what was last heard, two edits at once may both pass, and
// it may not be asked at all. The planner gives no address twice whatever pools there are.
//
// An edit is refused only for what it makes worse. So an Eip that breaks a rule already can still be mended, labelled,
// shrunk and deleted.
#pragma once

#include "model/admission.hpp"
#include "model/world.hpp"

namespace berth {

// `before` is null when the pool is created.
Admission judge_pool(const Pool* before, const Pool& after, const World& world);

}  // namespace berth
