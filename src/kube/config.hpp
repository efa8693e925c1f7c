// How to reach the API server: from the pod's service account, or from a kubeconfig file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace berth::kube {

struct ApiConfig {
  std::string host;           // name or address, without brackets
  std::uint16_t port = 443;
  std::string path_prefix;    // "" or "/something"
  std::string server_name;    // verified in the certificate; empty: host
  bool insecure_skip_tls_verify = false;
  // Files are read again (CA and client certificate at most once a minute, the token every minute), so
  // that rotation is followed. Of each pair the text wins.
  std::string ca_pem, ca_file;  // both empty: the system's
  std::string client_certificate_pem, client_certificate_file;
  std::string client_key_pem, client_key_file;
  std::string token, token_file;
};

// $KUBERNETES_SERVICE_HOST, $KUBERNETES_SERVICE_PORT and /var/run/secrets/kubernetes.io/serviceaccount.
Result<ApiConfig> in_cluster_config();

// kubectl's file. The error names the file and the field. Credential plug-ins (exec, auth-provider),
// passwords and proxies are refused: give a token or a client certificate.
Result<ApiConfig> load_kubeconfig(const std::string& path);
// `directory`: what relative file names start from.
Result<ApiConfig> parse_kubeconfig(std::string_view text, const std::string& directory);

}  // namespace berth::kube
