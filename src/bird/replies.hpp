// What BIRD answers on its control socket. Pure. A reply is lines with a number of four digits; it is looked at, never trusted: what
// makes no sense is left out, and nothing grows beyond a bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/bgp.hpp"
#include "model/objects.hpp"

namespace berth::bird {

struct Reply {
  struct Line {
    int code = 0;
    std::string text;  // a line that goes on with the number of the one before begins with its blanks
    bool operator==(const Line&) const = default;
  };
  std::vector<Line> lines;
  [[nodiscard]] int code() const { return lines.empty() ? 0 : lines.back().code; }
  [[nodiscard]] bool failed() const { return code() >= 8000; }
  [[nodiscard]] std::string said() const { return lines.empty() ? "" : lines.back().text; }
};

// Puts a reply together from what is read.
class ReplyReader {
 public:
  explicit ReplyReader(std::size_t limit) : limit_(limit) {}
  // False: this is no reply, or one beyond the limit. Nothing more is to be fed then.
  bool feed(std::string_view bytes);
  [[nodiscard]] bool complete() const { return complete_; }
  // The reply that is complete; the reader is then at the next one.
  Reply take();

 private:
  bool read_lines();

  std::size_t limit_;
  std::size_t size_ = 0;  // of the lines read
  std::string rest_;
  Reply reply_;
  bool complete_ = false;
};

// A protocol of `show protocols all`.
struct ProtocolState {
  std::string name;
  std::string kind;   // BGP, Static, ...
  std::string state;  // up, start, down, ...
  std::int64_t since_s = 0;
  std::string info;   // of BGP: Established, Active, ...
  std::string last_error;
  std::string neighbor_id;
  std::uint64_t hold_time_s = 0, keepalive_s = 0;  // negotiated
  bool add_path_send = false;                      // the router takes several paths, and we send them
  bool graceful_restart = false;                   // the router can
  std::uint64_t exported = 0;                      // routes that it has of us
  std::uint64_t updates = 0, withdraws = 0;        // sent
  bool operator==(const ProtocolState&) const = default;
};
std::vector<ProtocolState> protocols_from(const Reply& reply);

// Of `show route table ... all`: our routes, and how many there are of another shape.
struct ReadRoutes {
  BgpRoutes routes;
  std::size_t others = 0;
};
void routes_from(const Reply& reply, ReadRoutes& to);

SessionState session_state(const ProtocolState& protocol);
BgpPeerStatus status_from(const BgpPeerConfig& peer, const BgpGlobal& global, const ProtocolState& protocol);

}  // namespace berth::bird
