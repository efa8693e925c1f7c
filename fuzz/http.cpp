// The HTTP server, through a unix socket: whatever a client sends and wherever its pieces end, it gets
// whole answers or a closed connection, and nothing but GET and HEAD reaches a page.
#include <cerrno>
#include <cstdint>
#include <string>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>

#include "base/check.hpp"
#include "pieces.hpp"
#include "observe/http_server.hpp"

namespace berth {
namespace {

constexpr std::string_view body = "the page\n";

class Server {
 public:
  Server() : server_(io_.get_executor(), [this](std::string_view path, bool local) { return page(path, local); }) {
    BERTH_CHECK(server_.listen_unix(path_), "the server listens");
  }
  ~Server() { ::unlink(path_.c_str()); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // What the server answers until it has closed the connection.
  std::string talk(const std::vector<std::vector<char>>& pieces) {
    const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    BERTH_CHECK(::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "the server accepts");
    std::string answer;
    bool open = true;
    for (const auto& piece : pieces) {
      if (!open || ::send(client, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) break;  // it has closed already
      io_.poll();
      open = receive(client, answer);
    }
    ::shutdown(client, SHUT_WR);
    for (int turns = 0; open; ++turns) {
      BERTH_CHECK(turns < 1000, "the server ends when the client has");
      io_.poll();
      open = receive(client, answer);
    }
    ::close(client);
    return answer;
  }

  int pages = 0;

 private:
  HttpPage page(std::string_view path, bool local) {
    BERTH_CHECK(local, "a unix socket is local");
    BERTH_CHECK(path.find('?') == std::string_view::npos, "a path comes without its query");
    ++pages;
    return {.body = std::string{body}};
  }
  // Whether the connection is still open.
  static bool receive(int client, std::string& answer) {
    for (;;) {
      char bytes[4096];
      const auto size = ::recv(client, bytes, sizeof bytes, 0);
      if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
      answer.append(bytes, static_cast<std::size_t>(size));
    }
  }

  std::string path_ = "/tmp/berth-fuzz-http-" + std::to_string(::getpid());
  asio::io_context io_{1};
  HttpServer server_;
};

struct Answers {
  int pages = 0;
  int refusals = 0;
};

// Cuts what came into answers; anything that is no whole answer is a bug.
Answers count(std::string_view text) {
  Answers out;
  while (!text.empty()) {
    const std::size_t end = text.find("\r\n\r\n");
    BERTH_CHECK(end != std::string_view::npos, "an answer has a header");
    const std::string_view header = text.substr(0, end);
    text.remove_prefix(end + 4);
    if (header.starts_with("HTTP/1.1 200 OK\r\n")) {
      ++out.pages;
      BERTH_CHECK(header.find("Content-Length: 9\r\n") != std::string_view::npos, "the length is the body's");
      if (text.starts_with(body)) text.remove_prefix(body.size());  // HEAD has none
    } else {
      ++out.refusals;
      BERTH_CHECK(header.starts_with("HTTP/1.1 405 "), "only what can't be read or is no GET is refused");
      constexpr std::string_view refusal = "only GET\n";
      BERTH_CHECK(text.starts_with(refusal), "a refusal says why");
      text.remove_prefix(refusal.size());
    }
  }
  return out;
}

}  // namespace
}  // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static berth::Server server;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  server.pages = 0;
  const std::string whole = server.talk({{text.begin(), text.end()}});
  BERTH_CHECK(berth::count(whole).pages == server.pages, "one answer for each page");
  BERTH_CHECK(server.talk(berth::fuzz::pieces(text)) == whole, "where the pieces end does not matter");
  return 0;
}
