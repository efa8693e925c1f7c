#include "kube/certificate_keeper.hpp"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/backoff.hpp"
#include "base/log.hpp"
#include "kube/base64.hpp"

namespace berth::kube {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr Duration look_every = 10s;
constexpr Backoff::Limits after_failures{.initial = 1s, .limit = 60s};

std::string collection(const ObjectName& name) { return "/api/v1/namespaces/" + name.space + "/secrets"; }
std::string path_of(const ObjectName& name) { return collection(name) + "/" + name.name; }
std::string configuration_path(const std::string& name) {
  return "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/" + name;
}

// OpenELB's Secret has `cert` and `key`; ours are others.
constexpr const char* authorities_key = "ca.crt";
constexpr const char* authority_key_key = "ca.key";
constexpr const char* certificate_key = "tls.crt";
constexpr const char* key_key = "tls.key";

CertificateSet set_of(const api::Secret& secret) {
  const auto value = [&](const char* key) {
    const auto found = secret.data.find(key);
    return found == secret.data.end() ? std::string{} : from_base64(found->second).value_or("");
  };
  return {value(authorities_key), value(authority_key_key), value(certificate_key), value(key_key)};
}

json::object strings_of(const CertificateSet& set) {
  return {
      {authorities_key, set.authorities}, {authority_key_key, set.authority_key}, {certificate_key, set.certificate}, {key_key, set.key}};
}

}  // namespace

CertificateKeeper::CertificateKeeper(asio::any_io_executor executor,
                                     ApiClient& client,
                                     Timers& timers,
                                     Rng& rng,
                                     CertificateKeeperOptions options,
                                     std::function<bool()> leading,
                                     Serve serve)
    : client_(client),
      timers_(timers),
      rng_(rng),
      options_(std::move(options)),
      leading_(std::move(leading)),
      serve_(std::move(serve)),
      bell_(executor) {}

asio::awaitable<void> CertificateKeeper::run() {
  Backoff backoff{after_failures};
  for (;;) {
    const auto done = co_await look();
    // Another was faster: what it wrote is there to be read.
    const bool overtaken = !done && (done.error().code == ErrorCode::conflict || done.error().code == ErrorCode::already_exists);
    if (!done && !overtaken && done.error().text != error_) log::warning("webhook_certificate_failed", {{"error", done.error().text}});
    error_ = done || overtaken ? "" : done.error().text;
    if (done) backoff.succeeded();
    const Duration wait = done ? look_every +
                                     Duration{static_cast<Duration::rep>(static_cast<double>(look_every.count()) * 0.2 * rng_.fraction())}
                               : backoff.next(rng_);
    co_await bell_.wait_until(timers_, timers_.now() + wait);
  }
}

asio::awaitable<Result<>> CertificateKeeper::look() {
  auto secret = co_await client_.get<api::Secret>(path_of(options_.secret));
  if (!secret && secret.error().code != ErrorCode::not_found) co_return fail(secret.error());
  std::optional<api::Secret> found;
  if (secret) found = std::move(*secret);
  CertificateSet set = found ? set_of(*found) : set_;
  // Who deletes the Secret does not trust it any more: another authority comes. What is served goes on until that is trusted.
  if (!found) set.authority_key.clear();
  learn(std::move(set));

  const bool leads = leading_();
  if (!leads) published_.reset();
  CertificatesDue due = certificates_due(facts_, timers_.wall_now(), published());
  if (!leads && !due.urgent) due = {};
  Result<> stored;
  if (due.any()) {
    CertificateSet next = renewed(set_, due, options_.names, timers_.wall_now());
    stored = co_await store(next, found);
    if (stored) {
      learn(std::move(next));
      log::info("webhook_certificate_made", {{"authority", due.authority ? "new" : "as before"},
                                             {"certificate", due.serving ? "new" : "as before"},
                                             {"expires", facts_.serving ? to_rfc3339(facts_.serving->validity.until) : ""}});
    }
  }
  if (facts_.serving) serve_(set_);
  if (!stored) co_return stored;
  if (leading_()) co_return co_await publish();
  co_return Result<>{};
}

void CertificateKeeper::learn(CertificateSet set) {
  if (set == set_) return;
  set_ = std::move(set);
  facts_ = examine(set_, options_.names);
  bundle_ = trust_bundle(set_);
}

asio::awaitable<Result<>> CertificateKeeper::store(CertificateSet set, const std::optional<api::Secret>& found) {
  if (found) {
    json::object metadata{{"uid", found->metadata.uid}, {"resourceVersion", found->metadata.resourceVersion}};
    std::string patch = json::serialize(json::object{{"metadata", std::move(metadata)}, {"stringData", strings_of(set)}});
    co_return co_await client_.patch_only(PatchKind::merge, path_of(options_.secret), std::move(patch));
  }
  json::object metadata{
      {"name", options_.secret.name}, {"namespace", options_.secret.space}, {"labels", json::object{{"app.kubernetes.io/name", "berth"}}}};
  std::string body = json::serialize(json::object{
      {"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", std::move(metadata)}, {"type", "Opaque"}, {"stringData", strings_of(set)}});
  auto created = co_await client_.create<api::Secret>(collection(options_.secret), std::move(body));
  if (!created) co_return fail(created.error());
  co_return Result<>{};
}

asio::awaitable<Result<>> CertificateKeeper::publish() {
  const std::string bundle = bundle_;
  auto configuration = co_await client_.get<api::WebhookConfiguration>(configuration_path(options_.configuration));
  if (!configuration) {
    published_.reset();
    if (configuration.error().code == ErrorCode::not_found) co_return Result<>{};  // the cluster does without the webhook
    co_return fail(configuration.error());
  }
  const auto entry = std::ranges::find(configuration->webhooks, options_.webhook, &api::ConfiguredWebhook::name);
  if (entry == configuration->webhooks.end()) {
    published_.reset();
    co_return Result<>{};
  }
  if (from_base64(entry->clientConfig.caBundle) != bundle) {
    published_.reset();
    json::object metadata{{"resourceVersion", configuration->metadata.resourceVersion}};
    json::object webhook{{"name", options_.webhook}, {"clientConfig", json::object{{"caBundle", to_base64(bundle)}}}};
    std::string patch = json::serialize(json::object{{"metadata", std::move(metadata)}, {"webhooks", json::array{std::move(webhook)}}});
    const auto written = co_await client_.patch_only(PatchKind::strategic_merge, configuration_path(options_.configuration),
                                                     std::move(patch));
    if (!written) co_return written;
    log::info("webhook_trust_published", {{"configuration", options_.configuration}});
  }
  if (!published_ || published_->bundle != bundle) published_ = Published{bundle, timers_.now()};
  co_return Result<>{};
}

std::optional<Duration> CertificateKeeper::published() const {
  if (!published_ || published_->bundle != bundle_) return std::nullopt;
  return timers_.now() - published_->since;
}

}  // namespace berth::kube
