// What may be broken on purpose, outside of production code: between the engine and gobgpd, or between the cluster and the speaker. Each
// breaks a promise that a checker looks at from outside.
#pragma once

#include <cstdint>
#include <string_view>

namespace berth::sim {

enum class BgpFlaw : std::uint8_t {
  none,
  paths_come_late,       // after a start: the answer says that they are in, but the peers are there before
  no_restart_bits,       // peers are added without local_restarting
  stopped_with_goodbye,  // StopBgp never allows a graceful restart
  withdrawn_first,       // withdrawals before additions
  additions_are_lost,    // one in ten is not carried out, though the answer says so, and is listed all the same
  import_is_open,        // the import policy is not assigned
  everybody_hears,       // the export policy rejects nothing
  not_told_again,        // the soft reset is not done
  add_path_believed,     // listings say that every router has ADD-PATH
  sessions_are_reset,    // with each change of policies
  strangers_stay,        // listings hide what is not of Berth's shape
  hang_for_ever,         // the engine's kill does nothing
  lists_are_restless,    // each listing shows another MED on one path
  marks_are_lost,        // the community GRACEFUL_SHUTDOWN is taken off
  slices_unheard,        // the speaker does not hear one in ten of the endpoint slices' changes
  bad_edits_delete,      // a BgpPeer that breaks a rule is heard as deleted
};
std::string_view to_string(BgpFlaw flaw);

}  // namespace berth::sim
