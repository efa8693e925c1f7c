// What gobgpd answers: whatever bytes came, what is taken from them can be asked for again, and reads
// back the same.
#include <cstdint>
#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/check.hpp"
#include "gobgp/log.hpp"
#include "gobgp/translate.hpp"
#include "kube/encode.hpp"

namespace berth::gobgp {
namespace {

template <class Message>
std::optional<Message> parse(const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes)) return std::nullopt;
  return message;
}

bool is_json(const std::string& text) {
  boost::json::error_code error;
  boost::json::parse(text, error);
  return !error;
}

void check_global(const std::string& bytes) {
  const auto message = parse<api::Global>(bytes);
  if (!message) return;
  const auto global = from_api(*message);
  if (!global) return;
  BERTH_CHECK(global->as != 0, "a server that runs has an AS number");
  BERTH_CHECK(as_shown(as_shown(*global)) == as_shown(*global), "defaults are filled in once");
  const auto asked = to_api(*global);
  if (!asked) return;  // gobgpd would panic on it
  BERTH_CHECK(from_api(*asked) == global, "a server asked for is read back the same");
}

void check_peer(const std::string& bytes) {
  const auto message = parse<api::Peer>(bytes);
  if (!message) return;
  const BgpPeerStatus status = status_from_api(*message);
  BERTH_CHECK(is_json(kube::peer_status_patch("node", status)), "every status is JSON");
  BERTH_CHECK(status.last_error.size() < 300 && status.last_error.find('\n') == std::string::npos, "why it is down is one line");
  const EventRecord event{.object = {.api_version = "v1", .kind = "BgpPeer", .space = "", .name = "p", .uid = {}},
                          .warning = true,
                          .component = "speakerManager",
                          .reason = "Down",
                          .message = status.last_error};
  BERTH_CHECK(is_json(kube::new_event(event, "default", "name", WallTime{})), "every Event is JSON");
  const auto peer = peer_from_api(*message);
  if (!peer) return;
  const BgpGlobal global{.as = 64512, .router_id = "192.0.2.1", .listen_addresses = {}};
  const BgpPeerConfig shown = as_shown(*peer, global);
  BERTH_CHECK(as_shown(shown, global) == shown, "defaults are filled in once");
  BERTH_CHECK(peer_from_api(to_api(*peer, global, true)) == shown, "a peer asked for is read back as it is shown");
}

void check_path(const std::string& bytes) {
  const auto message = parse<api::Path>(bytes);
  if (!message) return;
  static_cast<void>(is_received(*message));
  const auto read = path_from_api(*message);
  if (!read) return;
  const auto again = path_from_api(to_api(read->route, read->path.id, read->path.path));
  BERTH_CHECK(again && again->route == read->route && again->path == read->path, "a path asked for is read back the same");
  const api::Path gone = withdrawal(read->route, read->path.id);
  BERTH_CHECK(gone.is_withdraw() && gone.identifier() == read->path.id, "a withdrawal names its path");
}

void check_line(const std::string& bytes) {
  for (const std::string& line :
       {bytes, R"({"Key":"192.0.2.1","msg":"received notification","Code":6,"Communicated-Reason":")" + bytes + "\"}"}) {
    const auto trouble = session_trouble(line);
    if (!trouble) continue;
    BERTH_CHECK(!trouble->text.empty() && trouble->text.size() < 400 && trouble->text.find('\n') == std::string::npos, "why is one line");
    BERTH_CHECK(is_json(boost::json::serialize(boost::json::string{trouble->text})), "every line is text");
  }
}

}  // namespace
}  // namespace berth::gobgp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes{reinterpret_cast<const char*>(data), size};
  berth::gobgp::check_global(bytes);
  berth::gobgp::check_peer(bytes);
  berth::gobgp::check_path(bytes);
  berth::gobgp::check_line(bytes);
  return 0;
}
