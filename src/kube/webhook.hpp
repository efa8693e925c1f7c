// The HTTPS server of the admission webhook. Bounded in connections, sizes and times: whoever reaches the port may talk to it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "kube/admission_review.hpp"

namespace berth::kube {

inline constexpr std::string_view webhook_path = "/validate-network-kubesphere-io-v1alpha2-eip";  // OpenELB's

struct WebhookCounters {
  std::uint64_t allowed = 0;
  std::uint64_t refused = 0;
  std::uint64_t malformed = 0;  // no review, not the path, too large
};

class Webhook {
 public:
  Webhook(asio::any_io_executor executor, PoolJudge judge);
  ~Webhook();
  Webhook(const Webhook&) = delete;
  Webhook& operator=(const Webhook&) = delete;

  // In PEM. From now on new connections get this certificate; open ones go on.
  Result<> use(const std::string& certificate, const std::string& key);
  // On all addresses of both families; 0: any free port. unavailable: another program may have it. Only after use().
  Result<> listen(std::uint16_t port);
  [[nodiscard]] std::uint16_t port() const;  // 0: it does not listen
  [[nodiscard]] const WebhookCounters& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::kube
