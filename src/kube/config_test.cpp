#include "kube/config.hpp"

#include <gtest/gtest.h>

namespace berth::kube {
namespace {

std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
         "clusters: [{name: k, cluster: {" +
         cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n";
}
const std::string server = "server: 'https://api.example:6443/x/'";

std::string refusal(const std::string& text) {
  const auto config = parse_kubeconfig(text, "/etc/k");
  return config ? "accepted" : config.error().text;
}

TEST(Kubeconfig, GivesServerCredentialsAndFiles) {
  const auto config = parse_kubeconfig(
      kubeconfig(server + ", certificate-authority: ca.crt", "client-certificate-data: aGVsbG8=, client-key: /abs/key"), "/etc/k");
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->host, "api.example");
  EXPECT_EQ(config->port, 6443);
  EXPECT_EQ(config->path_prefix, "/x");
  EXPECT_EQ(config->ca_file, "/etc/k/ca.crt");
  EXPECT_EQ(config->client_certificate_pem, "hello");
  EXPECT_EQ(config->client_key_file, "/abs/key");
}

TEST(Kubeconfig, TakesTokensAndInsecure) {
  const auto config = parse_kubeconfig(kubeconfig("server: 'https://[fd00::1]', insecure-skip-tls-verify: true", "token: t0k"), "");
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->host, "fd00::1");
  EXPECT_EQ(config->port, 443);
  EXPECT_TRUE(config->insecure_skip_tls_verify);
  EXPECT_EQ(config->token, "t0k");
}

TEST(Kubeconfig, AServerIsAHostAndAPathAndNothingElse) {
  for (const std::string bad : {"https://", "https:/a", "https://192.0.2.1x", "https://192.0.2.1x/y", "https://u:p@a", "https://a?x=1",
                                "https://a#x", "https://a%0d%0aX: y", "https://a%00", "https://a b", "a:6443", "http://a"})
    EXPECT_EQ(refusal(kubeconfig("server: '" + bad + "'", "token: t")),
              "clusters[k].cluster.server is \"" + bad + "\": write https://HOST:PORT");
  for (const std::string good :
       {"https://192.0.2.1", "https://192.0.2.1/", "https://192.0.2.1:6443/x", "https://[fd00::1]:6443", "https://a-b.c_d"})
    EXPECT_EQ(refusal(kubeconfig("server: '" + good + "'", "token: t")), "accepted") << good;
}

TEST(Kubeconfig, ATokenThatCouldNotBeSentIsRefused) {
  for (const std::string bad : {"a b", "a\\nb", "a\\r\\nX: y", "a\\n", "\\u00fc", "\\0"})
    EXPECT_EQ(refusal(kubeconfig(server, "token: \"" + bad + "\"")), "users[u].user.token has blanks, line breaks or what is no ASCII")
        << bad;
}

TEST(Kubeconfig, RefusalsNameTheFieldAndTheCure) {
  EXPECT_EQ(refusal(kubeconfig(server, "exec: {command: aws}")),
            "users[u].user.exec: credential plug-ins are not run; use a token (kubectl create token) or a client certificate");
  EXPECT_EQ(refusal(kubeconfig("server: 'http://a:1'", "token: t")),
            "clusters[k].cluster.server is \"http://a:1\": write https://HOST:PORT");
  EXPECT_EQ(refusal(kubeconfig(server + ", certificate-authority-data: '%%%'", "token: t")),
            "clusters[k].cluster.certificate-authority-data is not base64");
  EXPECT_EQ(refusal(kubeconfig(server, "client-certificate: a.crt")),
            "users[u].user: client-certificate and client-key must be given together");
  EXPECT_EQ(refusal("current-context: x\ncontexts: []\n"), "contexts has no entry named \"x\"");
  EXPECT_EQ(refusal("a: b\n"), "current-context is missing: choose one with kubectl config use-context");
  EXPECT_EQ(refusal("just text"), "the file is not a YAML map: is it a kubeconfig?");
  EXPECT_TRUE(refusal("a: [").starts_with("not YAML: "));
}

TEST(Kubeconfig, AMissingFileIsNamed) {
  const auto config = load_kubeconfig("/nowhere/config");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().text, "kubeconfig /nowhere/config: No such file or directory");
}

TEST(Kubeconfig, APasswordNeverGetsIntoAMessage) {
  EXPECT_EQ(refusal(kubeconfig(server, "token: [s3cret]")).find("s3cret"), std::string::npos);
}

}  // namespace
}  // namespace berth::kube
