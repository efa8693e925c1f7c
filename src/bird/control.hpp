// Control: BIRD's control socket, a question and its reply at a time, as birdc asks. Each has a connection of its own and a deadline.
// Private to this folder.
#pragma once

#include <cstddef>
#include <string>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "bird/replies.hpp"

namespace berth::bird {

class Control {
 public:
  Control(asio::any_io_executor executor, std::string socket, Duration patience = std::chrono::seconds{4})
      : executor_(std::move(executor)), socket_(std::move(socket)), patience_(patience) {}

  // `command` is a line of ours, without its end. An error that BIRD answers is an error of the result.
  asio::awaitable<Result<Reply>> ask(std::string command);

 private:
  asio::any_io_executor executor_;
  std::string socket_;
  Duration patience_;
};

}  // namespace berth::bird
