// A small HTTP server for people and probes: GET only, one page a path, bounded in everything.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/asio.hpp"
#include "base/result.hpp"

namespace berth {

struct HttpPage {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  // `path` without its query. `local`: the client is on this machine (loopback or unix socket).
  using Handler = std::function<HttpPage(std::string_view path, bool local)>;
  HttpServer(asio::any_io_executor executor, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // "address:port", ":port" for all addresses of both families, "[v6]:port". invalid: can't be read;
  // unavailable: can't be listened on.
  Result<> listen(const std::string& address);
  // A unix socket; what stood there is replaced.
  Result<> listen_unix(const std::string& path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace berth
