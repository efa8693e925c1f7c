#include "app/bgp_command.hpp"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace berth {
namespace {

std::string rendered(std::string_view state) { return render_bgp(boost::json::parse(state).as_object()); }

TEST(BgpCommand, ShowsSessionsRoutesAndWhyNot) {
  EXPECT_EQ(rendered(R"({"desired": {
      "bgp": {"global": {"as": 65001},
              "peers": [{"object": "tor", "neighbor": "192.0.2.1"}, {"object": "spine", "neighbor": "192.0.2.2"}],
              "excludedNodes": {"node3": "unreachable"},
              "problems": [{"kind": "BgpPeer", "name": "old", "text": "spec.conf is missing"}]},
      "announcements": {"203.0.113.1": {"service": "default/web", "reason": "announced", "nodes": ["node1", "node2"]},
                        "203.0.113.2": {"service": "default/db", "reason": "no_endpoints", "nodes": []}}},
    "actual": {"bgp": {"sessions": [{"neighbor": "192.0.2.1", "state": "ESTABLISHED", "uptime": "2026-11-27T08:00:00Z", "lastError": ""},
                                    {"neighbor": "192.0.2.2", "state": "ACTIVE", "uptime": "", "lastError": "connection refused"}],
                       "bfd": {"sessions": [{"neighbor": "192.0.2.1", "state": "Up", "detectionSeconds": 0.15, "bgpHeldDown": ""}]}}}})"),
            "PEER   NEIGHBOR   STATE        SINCE                 BFD  DETECTION  WHY NOT\n"
            "tor    192.0.2.1  ESTABLISHED  2026-11-27T08:00:00Z  Up   150 ms     -\n"
            "spine  192.0.2.2  ACTIVE       -                     -    -          connection refused\n"
            "\n"
            "ADDRESS      SERVICE      NEXT HOPS    WHY NOT\n"
            "203.0.113.1  default/web  node1,node2  -\n"
            "203.0.113.2  default/db   -            no_endpoints\n"
            "\n"
            "NODE LEFT OUT  WHY\n"
            "node3          unreachable\n"
            "\n"
            "BgpPeer old: spec.conf is missing\n");
}

TEST(BgpCommand, SaysWhatThereIsNone) {
  EXPECT_EQ(rendered("{}"), "this Berth does not speak BGP: it is a controller\n");
  EXPECT_EQ(rendered(R"({"desired": {"bgp": {"peers": []}}})"),
            "BGP is not configured: there is no BgpConf default, or it says nothing for this node\n");
  EXPECT_EQ(rendered(R"({"desired": {"bgp": {"global": {}, "peers": []}}})"), "no BgpPeer for this node\n\nno address is allocated\n");
}

TEST(BgpCommand, OddAnswersAreNoCrash) {
  for (const char* odd :
       {R"({"desired": 1})", R"({"desired": {"bgp": {"global": 1, "peers": [1, null, {}], "excludedNodes": [], "problems": {}},
                            "announcements": {"x": 1}}, "actual": {"bgp": {"sessions": [1], "bfd": 2}}})"})
    EXPECT_NE(rendered(odd), "");
}

}  // namespace
}  // namespace berth
