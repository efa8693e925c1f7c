#include "speaker_process.hpp"

#include "base/check.hpp"
#include "gobgp/engine.hpp"

namespace berth::sim {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<BgpEngine> make_engine(asio::io_context& io, testing::SimTimers& time, GobgpHost& host) {
  return make_gobgp_engine(
      io.get_executor(), time, std::make_unique<SimulatedProcess>(io.get_executor(), time, host),
      [executor = asio::any_io_executor{io.get_executor()}, &time, &host] { return std::make_shared<SimulatedApi>(executor, time, host); },
      GobgpOptions{});
}

}  // namespace

SpeakerProcess::SpeakerProcess(asio::io_context& io, testing::SimTimers& time, GobgpHost& host, SimRng& rng)
    : io_(io),
      engine_(make_engine(io, time, host)),
      speaker_(io.get_executor(), time, rng, view_->world, *engine_, {.node = "n0"}),
      engine_tasks_(io.get_executor()),
      speaker_tasks_(io.get_executor()),
      ending_(io.get_executor()) {
  view_->on_change = [this] { speaker_.look_again(); };
  engine_tasks_.spawn("engine", engine_->run([this] { speaker_.engine_changed(); }));
  speaker_tasks_.spawn("speaker", speaker_.run());
}

SpeakerProcess::~SpeakerProcess() {
  BERTH_CHECK(engine_tasks_.size() + speaker_tasks_.size() + ending_.size() == 0, "killed before it goes");
}

void SpeakerProcess::end(BgpStop how) { ending_.spawn("end", end_in_order(how)); }

asio::awaitable<void> SpeakerProcess::end_in_order(BgpStop how) {
  speaker_tasks_.cancel();
  co_await speaker_tasks_.join();
  co_await speaker_.stop(how, 5s);
  engine_tasks_.cancel();
  co_await engine_tasks_.join();
  ended_ = true;
}

void SpeakerProcess::kill() {
  view_->on_change = [] {};
  for (TaskGroup* tasks : {&ending_, &speaker_tasks_, &engine_tasks_}) {
    tasks->cancel();
    io_.restart();
    io_.poll();
  }
}

}  // namespace berth::sim
