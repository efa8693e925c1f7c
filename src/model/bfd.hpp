// What is asked of BFD, and what it says.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "model/ip_address.hpp"

namespace berth {

struct BfdSettings {
  Duration min_tx = std::chrono::milliseconds{100};  // 10 ms to 60 s
  Duration min_rx = std::chrono::milliseconds{100};  // 10 ms to 60 s
  std::uint8_t multiplier = 3;                       // 2 to 255
  bool passive = false;                              // says nothing before the neighbour does (RFC 5880 §6.1)
  bool operator==(const BfdSettings&) const = default;
};

struct BfdPeer {
  IpAddress neighbor = {};
  BfdSettings settings = {};
  bool multihop = false;       // RFC 5883; else single hop, RFC 5881
  std::uint8_t min_ttl = 254;  // multihop: what arrives with less is dropped
  Duration restart_time{};     // so long the neighbour waits for us when we restart in order, as BGP does; 0: not at all
  bool operator==(const BfdPeer&) const = default;
};

struct BfdStatus {
  IpAddress neighbor = {};
  bool up = false;
  bool resumed = false;                 // it was up before this process began
  std::string state = {};               // AdminDown, Down, Init, Up
  std::string remote_state = {};        // the same, as the neighbour said last
  bool remote_admin_down = false;  // the neighbour ended the session: no failure (RFC 5882 §4.2)
  std::string last_down = {};           // why it went down last, in words; empty: it never did
  std::string send_error = {};          // empty: the last packet could be sent
  Duration transmit_interval{};    // as negotiated, before jitter
  Duration detection_time{};
  std::uint64_t sent = 0, received = 0;  // packets
  std::uint64_t ups = 0, downs = 0;      // into and out of Up
  std::uint64_t stalls = 0;              // times that we were late, not the neighbour
  bool operator==(const BfdStatus&) const = default;
};

struct BfdReport {
  std::vector<BfdStatus> sessions = {};             // by neighbour
  std::map<std::string, std::uint64_t> drops = {};  // packets by reason
  std::string trouble = {};                         // why nothing can be received; empty: it can
};

}  // namespace berth
