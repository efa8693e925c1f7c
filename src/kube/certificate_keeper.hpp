// Keeps the webhook's certificates: in one Secret, which all replicas serve by, and, while this process leads, in the webhook
// configuration, by which the API server trusts them. Whoever comes first makes the Secret (compare-and-swap); what is due
// later is done by the leader. Others' keys in the Secret stay as they are: OpenELB's has the same name.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bell.hpp"
#include "base/timers.hpp"
#include "kube/admission_types.hpp"
#include "kube/api_client.hpp"
#include "kube/certificate.hpp"
#include "model/names.hpp"

namespace berth::kube {

struct CertificateKeeperOptions {
  ObjectName secret;
  std::string configuration;       // the ValidatingWebhookConfiguration
  std::string webhook;             // its entry that is ours
  std::vector<std::string> names;  // whom the certificate is made out to
};

class CertificateKeeper {
 public:
  // `serve` is called every ten seconds or so with what is to be served.
  using Serve = std::function<void(const CertificateSet&)>;
  CertificateKeeper(asio::any_io_executor executor,
                    ApiClient& client,
                    Timers& timers,
                    Rng& rng,
                    CertificateKeeperOptions options,
                    std::function<bool()> leading,
                    Serve serve);

  asio::awaitable<void> run();       // until cancelled
  void look_again() { bell_.ring(); }  // leading began

  // When the certificate that is served ends.
  [[nodiscard]] std::optional<WallTime> expires() const {
    return facts_.serving ? std::optional{facts_.serving->validity.until} : std::nullopt;
  }
  [[nodiscard]] const std::string& error() const { return error_; }  // of the last look, or empty

 private:
  asio::awaitable<Result<>> look();
  asio::awaitable<Result<>> store(CertificateSet set, const std::optional<api::Secret>& found);
  asio::awaitable<Result<>> publish();
  void learn(CertificateSet set);
  [[nodiscard]] std::optional<Duration> published() const;

  ApiClient& client_;
  Timers& timers_;
  Rng& rng_;
  const CertificateKeeperOptions options_;
  std::function<bool()> leading_;
  Serve serve_;
  Bell bell_;
  CertificateSet set_;  // as last read or written
  CertificateFacts facts_;
  std::string bundle_;  // its authorities
  struct Published {
    std::string bundle;
    Instant since;  // seen by this process without a break
  };
  std::optional<Published> published_;
  std::string error_;
};

}  // namespace berth::kube
