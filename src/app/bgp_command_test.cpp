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
              "ranges": [{"object": "leafs", "neighbors": "10.9.0.0/24"}, {"object": "spine", "neighbors": "192.0.2.0/24"}],
              "paths": [{"address": "203.0.113.1", "prefixLength": 32, "nextHop": "10.0.0.1", "offers": [
                          {"communities": ["65000:1", "large:1:2:3"], "med": 5, "to": ["tor"]}, {"to": ["spine"], "asPathPrepend": 2}]},
                        {"address": "203.0.113.1", "prefixLength": 32, "nextHop": "10.0.0.2", "offers": [
                          {"communities": ["65000:1", "large:1:2:3"], "med": 5, "to": ["tor"]}, {"to": ["spine"], "asPathPrepend": 2}]},
                        {"address": "203.0.113.3", "prefixLength": 32, "nextHop": "10.0.0.1", "offers": []},
                        {"address": "203.0.113.64", "prefixLength": 26, "nextHop": "10.0.0.1", "offers": [{}]},
                        {"address": "203.0.113.64", "prefixLength": 26, "nextHop": "10.0.0.2", "offers": [{"communities": ["65535:0"]}]}],
              "excludedNodes": {"node3": "unreachable"},
              "problems": [{"kind": "BgpPeer", "name": "old", "text": "spec.conf is missing"}]},
      "announcements": {"203.0.113.1": {"service": "default/web", "reason": "announced", "nodes": ["node1", "node2"]},
                        "203.0.113.2": {"service": "default/db", "reason": "no_endpoints", "nodes": []},
                        "203.0.113.3": {"service": "default/own", "reason": "announced", "nodes": ["node1"]}}},
    "actual": {"bgp": {"sessions": [{"neighbor": "192.0.2.1", "state": "ESTABLISHED", "uptime": "2026-11-27T08:00:00Z", "lastError": ""},
                                    {"neighbor": "192.0.2.2", "state": "ACTIVE", "uptime": "", "lastError": "connection refused"}],
                       "bfd": {"sessions": [{"neighbor": "192.0.2.1", "state": "Up", "detectionSeconds": 0.15, "bgpHeldDown": ""}]}}}})"),
            "PEER   NEIGHBOR     STATE        SINCE                 BFD  DETECTION  WHY NOT\n"
            "tor    192.0.2.1    ESTABLISHED  2026-11-27T08:00:00Z  Up   150 ms     -\n"
            "spine  192.0.2.2    ACTIVE       -                     -    -          connection refused\n"
            "leafs  10.9.0.0/24  -            -                     -    -          no router of this range has connected yet\n"
            "\n"
            "ADDRESS          SERVICE      NEXT HOPS          ATTRIBUTES                                        WHY NOT\n"
            "203.0.113.1      default/web  node1,node2        tor: 65000:1,large:1:2:3 MED 5; spine: prepend 2  -\n"
            "203.0.113.2      default/db   -                  -                                                 no_endpoints\n"
            "203.0.113.3      default/own  node1              for nobody                                        -\n"
            "203.0.113.64/26  -            10.0.0.1,10.0.0.2  by 10.0.0.2 65535:0                               -\n"
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
  for (const char* odd : {R"({"desired": 1})",
                          R"({"desired": {"bgp": {"global": 1, "peers": [1, null, {}],
                            "paths": [1, {}, {"offers": [1, {"to": 3, "med": "x", "communities": [7]}]}],
                            "excludedNodes": [], "problems": {}},
                            "announcements": {"x": 1}}, "actual": {"bgp": {"sessions": [1], "bfd": 2}}})"})
    EXPECT_NE(rendered(odd), "");
}

}  // namespace
}  // namespace berth
