// kubectl's configuration file: what is accepted can be used as it stands, and written out again as a
// kubeconfig it is read the same.
#include <cstdint>
#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <yaml-cpp/emitter.h>

#include "base/check.hpp"
#include "kube/config.hpp"

namespace berth::kube {
namespace {

std::string base64(const std::string& bytes) {
  std::string out(bytes.size() / 3 * 4 + 5, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

void put(YAML::Emitter& out, const char* key, const std::string& value) {
  if (!value.empty()) out << YAML::Key << key << YAML::Value << YAML::DoubleQuoted << value;
}

std::string print(const ApiConfig& config) {
  const bool v6 = config.host.find(':') != std::string::npos;
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "current-context" << YAML::Value << "c";
  out << YAML::Key << "contexts" << YAML::Value << YAML::BeginSeq << YAML::BeginMap << YAML::Key << "name" << YAML::Value << "c";
  out << YAML::Key << "context" << YAML::Value << YAML::BeginMap << YAML::Key << "cluster" << YAML::Value << "k" << YAML::Key << "user"
      << YAML::Value << "u" << YAML::EndMap << YAML::EndMap << YAML::EndSeq;
  out << YAML::Key << "clusters" << YAML::Value << YAML::BeginSeq << YAML::BeginMap << YAML::Key << "name" << YAML::Value << "k";
  out << YAML::Key << "cluster" << YAML::Value << YAML::BeginMap;
  put(out, "server", fmt::format("https://{}:{}{}", v6 ? "[" + config.host + "]" : config.host, config.port, config.path_prefix));
  put(out, "tls-server-name", config.server_name);
  put(out, "insecure-skip-tls-verify", config.insecure_skip_tls_verify ? "true" : "");
  put(out, "certificate-authority-data", base64(config.ca_pem));
  put(out, "certificate-authority", config.ca_file);
  out << YAML::EndMap << YAML::EndMap << YAML::EndSeq;
  out << YAML::Key << "users" << YAML::Value << YAML::BeginSeq << YAML::BeginMap << YAML::Key << "name" << YAML::Value << "u";
  out << YAML::Key << "user" << YAML::Value << YAML::BeginMap;
  put(out, "token", config.token);
  put(out, "tokenFile", config.token_file);
  put(out, "client-certificate-data", base64(config.client_certificate_pem));
  put(out, "client-certificate", config.client_certificate_file);
  put(out, "client-key-data", base64(config.client_key_pem));
  put(out, "client-key", config.client_key_file);
  out << YAML::EndMap << YAML::EndMap << YAML::EndSeq << YAML::EndMap;
  return out.c_str();
}

bool same(const ApiConfig& a, const ApiConfig& b) {
  return a.host == b.host && a.port == b.port && a.path_prefix == b.path_prefix && a.server_name == b.server_name &&
         a.insecure_skip_tls_verify == b.insecure_skip_tls_verify && a.ca_pem == b.ca_pem && a.ca_file == b.ca_file &&
         a.client_certificate_pem == b.client_certificate_pem && a.client_certificate_file == b.client_certificate_file &&
         a.client_key_pem == b.client_key_pem && a.client_key_file == b.client_key_file && a.token == b.token &&
         a.token_file == b.token_file;
}

// What becomes part of an HTTP request must not be able to end its line.
bool one_line(const std::string& text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F) return false;
  return true;
}

bool is_utf8(std::string_view text) {
  boost::json::error_code error;
  boost::json::parse(boost::json::serialize(boost::json::value(text)), error);
  return !error;
}

void check(std::string_view text) {
  const auto config = parse_kubeconfig(text, "/etc/k");
  if (!config) {
    BERTH_CHECK(config.error().code == ErrorCode::invalid && !config.error().text.empty(), "a refusal says why");
    return;
  }
  BERTH_CHECK(!config->host.empty() && config->port != 0, "there is a server to go to");
  BERTH_CHECK(one_line(config->host) && one_line(config->path_prefix) && one_line(config->token), "nothing can break a request");
  BERTH_CHECK(config->path_prefix.empty() || config->path_prefix.front() == '/', "a prefix is a path");
  BERTH_CHECK((config->client_certificate_pem.empty() && config->client_certificate_file.empty()) ==
                  (config->client_key_pem.empty() && config->client_key_file.empty()),
              "certificate and key come together");
  for (const std::string* file : {&config->ca_file, &config->client_certificate_file, &config->client_key_file, &config->token_file})
    BERTH_CHECK(file->empty() || file->front() == '/', "file names do not depend on where Berth was started");
  if (!is_utf8(text)) return;  // what is no text can't be written as YAML
  const auto again = parse_kubeconfig(print(*config), "/");
  BERTH_CHECK(again && same(*again, *config), "a printed configuration reads the same");
}

}  // namespace
}  // namespace berth::kube

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  berth::kube::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
