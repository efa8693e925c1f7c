#include "kube/config.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include <boost/url/parse.hpp>
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/text.hpp"
#include "kube/base64.hpp"

namespace berth::kube {
namespace {

constexpr std::size_t max_file_size = 4 << 20;
constexpr const char* account_directory = "/var/run/secrets/kubernetes.io/serviceaccount/";

// One field of the YAML, with its name for messages.
class Field {
 public:
  Field(const YAML::Node& node, std::string name) : node_(node), name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool present() const { return node_.IsDefined() && !node_.IsNull(); }
  [[nodiscard]] Result<Field> map() const {
    if (!node_.IsMap()) return fail(ErrorCode::invalid, name_ + " is missing or not a map");
    return *this;
  }
  [[nodiscard]] Field operator[](const char* key) const {
    return {node_.IsMap() ? node_[key] : YAML::Node{YAML::NodeType::Undefined}, name_.empty() ? key : name_ + "." + key};
  }
  [[nodiscard]] Result<std::string> text() const {
    if (!present()) return std::string{};
    if (!node_.IsScalar()) return fail(ErrorCode::invalid, name_ + " must be text");
    return node_.Scalar();
  }
  // The entry of a list of {name: X, <what>: {...}} that has this name.
  [[nodiscard]] Result<Field> named(const std::string& wanted, const char* what) const {
    if (!node_.IsSequence()) return fail(ErrorCode::invalid, name_ + " is missing or not a list");
    for (std::size_t i = 0; i < node_.size(); ++i) {
      const YAML::Node entry = node_[i];
      if (entry.IsMap() && entry["name"].IsDefined() && entry["name"].IsScalar() && entry["name"].Scalar() == wanted)
        return Field{entry[what], fmt::format("{}[{}].{}", name_, wanted, what)}.map();
    }
    return fail(ErrorCode::invalid, fmt::format("{} has no entry named \"{}\"", name_, clipped(wanted, 80)));
  }

 private:
  YAML::Node node_;
  std::string name_;
};

std::string resolve(const std::string& file, const std::string& directory) {
  if (file.empty() || file.front() == '/') return file;
  return (std::filesystem::path{directory} / file).string();
}

// `<key>-data` (base64) or `<key>` (a file).
Result<> read_pem(const Field& at, const char* key, const std::string& directory, std::string& pem, std::string& file) {
  const std::string data_key = std::string{key} + "-data";
  const auto data = at[data_key.c_str()].text();
  if (!data) return fail(data.error());
  const auto path = at[key].text();
  if (!path) return fail(path.error());
  if (!data->empty()) {
    auto decoded = from_base64(*data);
    if (!decoded) return fail(ErrorCode::invalid, at.name() + "." + data_key + " is not base64");
    pem = std::move(*decoded);
  } else {
    file = resolve(*path, directory);
  }
  return {};
}

// A name or an address; nothing that could end the line of a request that it becomes part of.
bool is_host(std::string_view text) {
  constexpr std::string_view marks = ".-_:%";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || marks.find(c) != std::string_view::npos;
  });
}

Result<> read_server(const Field& cluster, ApiConfig& config) {
  const auto server = cluster["server"].text();
  if (!server) return fail(server.error());
  const auto url = boost::urls::parse_uri(*server);
  // Boost.URL 1.81 reads https://192.0.2.1x as the host 192.0.2.1 and the path "x".
  if (!url || url->scheme() != "https" || !is_host(url->host_address()) || url->has_userinfo() || url->has_query() || url->has_fragment() ||
      (!url->encoded_path().empty() && url->encoded_path().front() != '/'))
    return fail(ErrorCode::invalid, fmt::format("{}.server is \"{}\": write https://HOST:PORT", cluster.name(), clipped(*server, 120)));
  config.host = url->host_address();
  if (url->has_port()) {
    if (url->port_number() == 0) return fail(ErrorCode::invalid, cluster.name() + ".server: the port must be 1 to 65535");
    config.port = url->port_number();
  }
  config.path_prefix = std::string{url->encoded_path()};
  while (!config.path_prefix.empty() && config.path_prefix.back() == '/') config.path_prefix.pop_back();
  return {};
}

Result<> read_cluster(const Field& cluster, const std::string& directory, ApiConfig& config) {
  if (auto done = read_server(cluster, config); !done) return done;
  if (cluster["proxy-url"].present())
    return fail(ErrorCode::invalid, cluster.name() + ".proxy-url is not supported: Berth must reach the API server directly");
  const auto server_name = cluster["tls-server-name"].text();
  if (!server_name) return fail(server_name.error());
  config.server_name = *server_name;
  const auto insecure = cluster["insecure-skip-tls-verify"].text();
  if (!insecure) return fail(insecure.error());
  config.insecure_skip_tls_verify = *insecure == "true";
  return read_pem(cluster, "certificate-authority", directory, config.ca_pem, config.ca_file);
}

Result<> read_user(const Field& user, const std::string& directory, ApiConfig& config) {
  for (const char* refused : {"exec", "auth-provider"})
    if (user[refused].present())
      return fail(ErrorCode::invalid, fmt::format("{}.{}: credential plug-ins are not run; use a token (kubectl create token) "
                                                  "or a client certificate",
                                                  user.name(), refused));
  if (user["username"].present() || user["password"].present())
    return fail(ErrorCode::invalid, user.name() + ".username: Kubernetes has no basic authentication since 1.19; use a token");
  const auto token = user["token"].text();
  if (!token) return fail(token.error());
  const auto token_file = user["tokenFile"].text();
  if (!token_file) return fail(token_file.error());
  if (std::ranges::any_of(*token, [](unsigned char c) { return c <= 0x20 || c >= 0x7F; }))
    return fail(ErrorCode::invalid, user.name() + ".token has blanks, line breaks or what is no ASCII");
  config.token = *token;
  config.token_file = resolve(*token_file, directory);
  if (auto done = read_pem(user, "client-certificate", directory, config.client_certificate_pem, config.client_certificate_file); !done)
    return done;
  if (auto done = read_pem(user, "client-key", directory, config.client_key_pem, config.client_key_file); !done) return done;
  const bool certificate = !config.client_certificate_pem.empty() || !config.client_certificate_file.empty();
  const bool key = !config.client_key_pem.empty() || !config.client_key_file.empty();
  if (certificate != key)
    return fail(ErrorCode::invalid, fmt::format("{}: client-certificate and client-key must be given together", user.name()));
  return {};
}

Result<ApiConfig> read_kubeconfig(const YAML::Node& document, const std::string& directory) {
  const auto root = Field{document, ""}.map();
  if (!root) return fail(ErrorCode::invalid, "the file is not a YAML map: is it a kubeconfig?");
  const auto current = (*root)["current-context"].text();
  if (!current) return fail(current.error());
  if (current->empty()) return fail(ErrorCode::invalid, "current-context is missing: choose one with kubectl config use-context");
  const auto context = (*root)["contexts"].named(*current, "context");
  if (!context) return fail(context.error());
  const auto cluster_name = (*context)["cluster"].text();
  if (!cluster_name) return fail(cluster_name.error());
  const auto user_name = (*context)["user"].text();
  if (!user_name) return fail(user_name.error());
  const auto cluster = (*root)["clusters"].named(*cluster_name, "cluster");
  if (!cluster) return fail(cluster.error());
  const auto user = (*root)["users"].named(*user_name, "user");
  if (!user) return fail(user.error());
  ApiConfig config;
  if (auto done = read_cluster(*cluster, directory, config); !done) return fail(done.error());
  if (auto done = read_user(*user, directory, config); !done) return fail(done.error());
  return config;
}

}  // namespace

Result<ApiConfig> in_cluster_config() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr)
    return fail(ErrorCode::invalid, "not in a pod ($KUBERNETES_SERVICE_HOST is not set): give --kubeconfig FILE");
  ApiConfig config;
  config.host = host;
  const long number = std::strtol(port, nullptr, 10);
  if (number < 1 || number > 65535) return fail(ErrorCode::invalid, "$KUBERNETES_SERVICE_PORT must be 1 to 65535");
  config.port = static_cast<std::uint16_t>(number);
  config.ca_file = std::string{account_directory} + "ca.crt";
  config.token_file = std::string{account_directory} + "token";
  std::error_code error;
  if (!std::filesystem::exists(config.token_file, error))
    return fail(ErrorCode::invalid, config.token_file + " is missing: automountServiceAccountToken must not be false for this pod");
  return config;
}

Result<ApiConfig> load_kubeconfig(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) return fail(ErrorCode::invalid, fmt::format("kubeconfig {}: {}", path, std::strerror(errno)));
  std::string text;
  text.resize(max_file_size + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return fail(ErrorCode::invalid, fmt::format("kubeconfig {}: can't be read", path));
  if (text.size() > max_file_size) return fail(ErrorCode::invalid, fmt::format("kubeconfig {}: larger than 4 MiB", path));
  auto config = parse_kubeconfig(text, std::filesystem::path{path}.parent_path().string());
  if (!config) return fail(config.error().with("kubeconfig " + path));
  return config;
}

Result<ApiConfig> parse_kubeconfig(std::string_view text, const std::string& directory) {
  try {
    return read_kubeconfig(YAML::Load(std::string{text}), directory);
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::invalid, std::string{"not YAML: "} + error.what());
  }
}

}  // namespace berth::kube
