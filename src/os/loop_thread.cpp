#include "os/loop_thread.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

namespace berth {
namespace {

constexpr int real_time_priority = 10;  // above all that is not real time, below the kernel's own threads

}  // namespace

LoopThread::LoopThread() {
  // Signals are the first thread's.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread{[this] { context_.run(); }};
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const sched_param priority{.sched_priority = real_time_priority};
  static_cast<void>(::pthread_setschedparam(thread_.native_handle(), SCHED_FIFO | SCHED_RESET_ON_FORK, &priority));
}

void LoopThread::stop() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace berth
