// LoopThread: a second thread with an event loop of its own, for what must not wait while the first one is busy. The two share
// nothing: work is posted into it, and what it has to say is posted out, by value.
#pragma once

#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "base/asio.hpp"

namespace berth {

class LoopThread {
 public:
  // The loop runs from now on. Real-time priority is asked for; without the right to it (CAP_SYS_NICE) the thread is as others.
  LoopThread();
  ~LoopThread() { stop(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  // Ends the loop where it is, and waits for the thread. After that what lived there can be taken apart from here.
  void stop();

  [[nodiscard]] asio::any_io_executor executor() { return context_.get_executor(); }

 private:
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
  std::thread thread_;
};

}  // namespace berth
