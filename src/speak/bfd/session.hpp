// One BFD session: the state machine and the timers of RFC 5880 §6.8, asynchronous mode, without echo and authentication. Pure:
// it is told what came and what time it is, and says what to send and when to be asked again.
//
// Beyond the RFC, and by its means:
// - A session never goes down because *we* were not running. Who asks says how late it came; when that is much of the detection
//   time, the neighbour gets the detection time anew, and a stall is counted.
// - A restart is not seen by the neighbour. Before it, rest() makes the detection time long, by a poll sequence; the process that
//   comes next first listens, and takes the session on that the neighbour still has up, with the discriminator that it names.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/timers.hpp"
#include "model/bfd.hpp"
#include "wire/bfd.hpp"

namespace berth {

struct BfdSessionCounters {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t ups = 0;
  std::uint64_t downs = 0;   // out of Up, but for our own end()
  std::uint64_t stalls = 0;  // times that we, not the neighbour, were late
  std::uint64_t resumed = 0; // taken on from a process before us
};

class BfdSession {
 public:
  // `discriminator`: not 0, unlike those of all other sessions of this machine.
  BfdSession(const BfdSettings& settings, std::uint32_t discriminator, Rng& rng, Instant now);

  // Whether the packet is of a session that a process before us had with this neighbour, and that we can take on: nothing was said
  // by us yet, and for the neighbour it is up. Its discriminator becomes ours by receive().
  [[nodiscard]] bool can_resume(const BfdPacket& packet) const;
  // A packet that parse_bfd() took and that belongs to this session.
  void receive(const BfdPacket& packet, Instant now);
  // What is due. `late`: by how much the caller came later than next() asked for.
  void tick(Instant now, Duration late);
  // New settings, by a poll sequence (§6.8.3); the session stays as it is.
  void change(const BfdSettings& settings);
  // Asks the neighbour, if it is up, to wait `time` for our next packet. Once it agreed we are silent.
  void rest(Duration time);
  [[nodiscard]] bool asks_for_rest() const { return resting_ && polling_; }                     // it did not answer yet
  [[nodiscard]] bool rests() const { return resting_ && !polling_ && state_ == BfdState::up; }  // it agreed
  // AdminDown (§6.8.16): the neighbour must not take it for a failure. For good; each further call says it once more.
  void end(Instant now);

  // To be sent now, oldest first.
  std::vector<BfdPacket> take_packets();
  [[nodiscard]] std::optional<Instant> next() const;  // absent: only a packet can change anything

  [[nodiscard]] std::uint32_t discriminator() const { return discriminator_; }
  [[nodiscard]] BfdState state() const { return state_; }
  [[nodiscard]] BfdDiagnostic diagnostic() const { return diagnostic_; }
  [[nodiscard]] BfdState remote_state() const { return remote_state_; }
  [[nodiscard]] Duration transmit_interval() const;  // before jitter; 0: the neighbour wants none
  [[nodiscard]] Duration detection_time() const;     // 0 before the first packet
  [[nodiscard]] const BfdSessionCounters& counters() const { return counters_; }

 private:
  void become(BfdState state, BfdDiagnostic diagnostic, Instant now);
  void adjust();
  void send(Instant now, bool final);
  [[nodiscard]] Duration desired_tx() const;
  [[nodiscard]] bool sends() const;
  [[nodiscard]] Duration jittered(Duration interval);

  BfdSettings settings_;
  std::uint32_t discriminator_;
  Rng& rng_;
  BfdState state_ = BfdState::down;
  BfdDiagnostic diagnostic_ = BfdDiagnostic::none;
  std::uint32_t remote_discriminator_ = 0;
  BfdState remote_state_ = BfdState::down;
  Duration remote_min_tx_{};
  Duration remote_min_rx_ = std::chrono::microseconds{1};
  std::uint8_t remote_multiplier_ = 0;
  bool remote_demand_ = false;
  bool polling_ = false;
  bool resting_ = false;
  // What was in use before a poll that is not yet answered, where §6.8.3 keeps it.
  std::optional<Duration> old_tx_, old_rx_;
  Instant sent_at_{};
  Duration spacing_{};  // from the last packet to the next, with its jitter
  std::optional<Instant> deadline_;  // when the detection time ends
  std::vector<BfdPacket> out_;
  BfdSessionCounters counters_;
};

}  // namespace berth
