// HTTP/1.1 over TLS to one server, with kept connections: as much as the API server needs. One request
// a connection at a time; connections are opened as requests come and kept when these are done.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "kube/config.hpp"

namespace berth::kube {

struct HttpRequest {
  std::string method = "GET";
  std::string target = "";        // path and query, without the configured prefix
  std::string content_type = "";  // with a body
  std::string body = "";
  Duration deadline = std::chrono::seconds{10};  // of the whole exchange; for streams: of silence
};

struct HttpResponse {
  int status = 0;
  std::optional<std::chrono::seconds> retry_after;
  std::string body;  // empty when it was streamed
};

class HttpClient {
 public:
  HttpClient(asio::any_io_executor executor, ApiConfig config);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Errors: unavailable (no connection, or it broke), timed_out, unauthorized (TLS refused), invalid (not
  // HTTP, or larger than 64 MiB). A status of any kind is an answer, not an error.
  asio::awaitable<Result<HttpResponse>> send(HttpRequest request);

  // Gives the body of a 200 to `on_body` piece by piece, as it comes, and before the first an empty one
  // when the 200 itself has come; an error from there ends the exchange and is returned. Bodies of other
  // statuses are in the response.
  using OnBody = std::function<Result<>(std::string_view)>;
  asio::awaitable<Result<HttpResponse>> stream(HttpRequest request, OnBody on_body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth::kube
