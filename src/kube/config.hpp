// How to reach the API server: from the pod's service account, or from a kubeconfig file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace berth::kube {

struct ApiConfig {
  std::string host;           // name or address, without brackets
  std::uint16_t port = 443;
  std::string path_prefix;    // "" or "/something"
  std::string server_name;    // verified in the certificate; empty: host
  bool insecure_skip_tls_verify = false;
  // Files are read again when they are older than this, the token also after a 401, so that rotation is
  // followed; a kept connection stays as it is. Of each pair the text wins.
  Duration reread_files_after = std::chrono::minutes{1};
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
