// ApiClient: the API server's verbs. Turns its answers into our errors, waits where it asks us to (429),
// up to three times.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/timers.hpp"
#include "kube/http_client.hpp"
#include "kube/json_reader.hpp"

namespace berth::kube {

enum class PatchKind : std::uint8_t { merge, strategic_merge, json };

class ApiClient {
 public:
  ApiClient(asio::any_io_executor executor, Timers& timers, Rng& rng, ApiConfig config)
      : http_(std::move(executor), std::move(config)), timers_(timers), rng_(rng) {}

  template <class T>
  asio::awaitable<Result<T>> get(std::string path, Duration deadline = std::chrono::seconds{10}) {
    return read<T>({.target = std::move(path), .deadline = deadline});
  }
  template <class T>
  asio::awaitable<Result<T>> create(std::string path, std::string body, Duration deadline = std::chrono::seconds{10}) {
    return read<T>({"POST", std::move(path), "application/json", std::move(body), deadline});
  }
  template <class T>
  asio::awaitable<Result<T>> replace(std::string path, std::string body, Duration deadline = std::chrono::seconds{10}) {
    return read<T>({"PUT", std::move(path), "application/json", std::move(body), deadline});
  }
  template <class T>
  asio::awaitable<Result<T>> patch(PatchKind kind, std::string path, std::string body) {
    return read<T>({"PATCH", std::move(path), content_type(kind), std::move(body)});
  }
  // What is answered is not of interest.
  asio::awaitable<Result<>> remove(std::string path, std::string options);
  asio::awaitable<Result<>> patch_only(PatchKind kind, std::string path, std::string body);

  // A list page or a watch; see HttpClient::stream. `silence` ends it when nothing comes for so long.
  asio::awaitable<Result<>> stream(std::string path, HttpClient::OnBody on_body, Duration silence);

 private:
  template <class T>
  asio::awaitable<Result<T>> read(HttpRequest request) {
    auto answer = co_await send(std::move(request));
    if (!answer) co_return fail(answer.error());
    auto object = read_json<T>(answer->body);
    if (!object) co_return fail(object.error().with("API server's answer"));
    co_return std::move(object->value);
  }
  // A 2xx answer, or the error that the status stands for.
  asio::awaitable<Result<HttpResponse>> send(HttpRequest request);
  // False if an answer is not to be waited for: no 429, or enough of them.
  asio::awaitable<bool> wait_if_throttled(int status, std::optional<std::chrono::seconds> asked, int attempt);
  static std::string content_type(PatchKind kind);

  HttpClient http_;
  Timers& timers_;
  Rng& rng_;
};

// The error that an answer of the API server stands for; `doing` is the method and path.
Error to_error(std::string_view doing, const HttpResponse& response);

}  // namespace berth::kube
