#include "kube/api_client.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"
#include "kube/api_types.hpp"

namespace berth::kube {
namespace {

constexpr int max_throttled = 3;
constexpr std::chrono::seconds max_wait{10};

ErrorCode code_of(int http_status, const api::Status& status) {
  switch (http_status) {
    case 401: return ErrorCode::unauthorized;
    case 403: return ErrorCode::forbidden;
    case 404: return ErrorCode::not_found;
    case 409: return status.reason == "AlreadyExists" ? ErrorCode::already_exists : ErrorCode::conflict;
    case 410: return ErrorCode::gone;
    case 422:
      // A precondition on metadata.uid that fails is "field is immutable", not a conflict.
      return std::ranges::any_of(status.details.causes, [](const auto& cause) { return cause.field == "metadata.uid"; })
                 ? ErrorCode::conflict
                 : ErrorCode::invalid;
    case 429: return ErrorCode::throttled;
    default: return http_status >= 500 ? ErrorCode::unavailable : ErrorCode::invalid;
  }
}

std::string_view cure(ErrorCode code) {
  switch (code) {
    case ErrorCode::unauthorized: return " (check the token or client certificate of the kubeconfig or service account)";
    case ErrorCode::forbidden: return " (grant it: the rights that Berth needs are in deploy/rbac.yaml)";
    default: return "";
  }
}

}  // namespace

Error to_error(std::string_view doing, const HttpResponse& response) {
  api::Status status;
  if (auto read = read_json<api::Status>(response.body)) status = std::move(read->value);
  const ErrorCode code = code_of(response.status, status);
  std::string message = status.message.empty() ? fmt::format("HTTP status {}", response.status) : clipped(status.message, 1000);
  return {code, fmt::format("{}: {}{}", doing, message, cure(code))};
}

std::string ApiClient::content_type(PatchKind kind) {
  switch (kind) {
    case PatchKind::merge: return "application/merge-patch+json";
    case PatchKind::strategic_merge: return "application/strategic-merge-patch+json";
    case PatchKind::json: return "application/json-patch+json";
  }
  return "application/merge-patch+json";
}

asio::awaitable<Result<HttpResponse>> ApiClient::send(HttpRequest request) {
  const std::string doing = request.method + " " + request.target.substr(0, request.target.find('?'));
  for (int attempt = 0;; ++attempt) {
    auto answer = co_await http_.send(request);
    if (!answer) co_return fail(answer.error());
    if (answer->status >= 200 && answer->status < 300) co_return std::move(*answer);
    if (!co_await wait_if_throttled(answer->status, answer->retry_after, attempt)) co_return fail(to_error(doing, *answer));
  }
}

asio::awaitable<bool> ApiClient::wait_if_throttled(int status, std::optional<std::chrono::seconds> asked, int attempt) {
  if (status != 429 || attempt == max_throttled) co_return false;
  const auto wait = std::clamp(asked.value_or(std::chrono::seconds{1}), std::chrono::seconds{0}, max_wait);
  co_await timers_.sleep_for(std::chrono::milliseconds{
      static_cast<std::int64_t>(static_cast<double>(wait.count()) * 1000 * (1 + 0.2 * rng_.fraction()) + 50 * rng_.fraction())});
  co_return true;
}

asio::awaitable<Result<>> ApiClient::remove(std::string path, std::string options) {
  auto answer = co_await send({"DELETE", std::move(path), "application/json", std::move(options)});
  if (!answer) co_return fail(answer.error());
  co_return Result<>{};
}

asio::awaitable<Result<>> ApiClient::patch_only(PatchKind kind, std::string path, std::string body) {
  auto answer = co_await send({"PATCH", std::move(path), content_type(kind), std::move(body)});
  if (!answer) co_return fail(answer.error());
  co_return Result<>{};
}

asio::awaitable<Result<>> ApiClient::stream(std::string path, HttpClient::OnBody on_body, Duration silence) {
  const std::string doing = "GET " + path.substr(0, path.find('?'));
  for (int attempt = 0;; ++attempt) {
    auto answer = co_await http_.stream({.target = path, .deadline = silence}, on_body);
    if (!answer) co_return fail(answer.error());
    if (answer->status == 200) co_return Result<>{};
    if (!co_await wait_if_throttled(answer->status, answer->retry_after, attempt)) co_return fail(to_error(doing, *answer));
  }
}

}  // namespace berth::kube
