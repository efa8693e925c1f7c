// SpeakerProcess: what of Berth speaks BGP on one node, in virtual time: the production engine on simulated ports, and the production
// speaker, as app/process.cpp puts them together.
#pragma once

#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>

#include "base/task_group.hpp"
#include "cluster_view.hpp"
#include "process.hpp"
#include "speak/bgp/speaker.hpp"

namespace berth::sim {

class SpeakerProcess {
 public:
  SpeakerProcess(asio::io_context& io, testing::SimTimers& time, GobgpHost& host, SimRng& rng);
  ~SpeakerProcess();  // kill() comes before

  [[nodiscard]] const std::shared_ptr<ClusterView>& view() const { return view_; }
  [[nodiscard]] BgpSpeaker& speaker() { return speaker_; }
  [[nodiscard]] const BgpEngine& engine() const { return *engine_; }
  [[nodiscard]] bool ended() const { return ended_; }
  void end(BgpStop how);  // in order; ended() says when it is done
  void kill();            // as SIGKILL. gobgpd is not touched

 private:
  asio::awaitable<void> end_in_order(BgpStop how);

  asio::io_context& io_;
  std::shared_ptr<ClusterView> view_ = std::make_shared<ClusterView>();
  std::unique_ptr<BgpEngine> engine_;
  BgpSpeaker speaker_;
  TaskGroup engine_tasks_;
  TaskGroup speaker_tasks_;
  TaskGroup ending_;
  bool ended_ = false;
};

}  // namespace berth::sim
