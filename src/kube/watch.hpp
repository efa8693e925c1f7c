// Watching one kind: list in pages, then watch from there, for ever. The feed gets complete lists as
// `replace` and single changes as `upsert` and `erase`; whatever breaks, the feed keeps what it had.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/timers.hpp"
#include "kube/api_client.hpp"
#include "reconcile/cluster.hpp"

namespace berth::kube {

// How fresh the view of one kind is, for readiness and metrics.
struct WatchHealth {
  std::string kind;
  bool synced = false;       // listed at least once
  Instant heard;             // the newest list, event or bookmark
  std::string error;         // why it is not watching now; empty while it is
  std::uint64_t lists = 0;
  std::uint64_t watches = 0;
  std::uint64_t events = 0;
};

// Cuts a watch stream into its lines, wherever its pieces end.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line) : max_line_(max_line) {}
  // Calls `on_line` for each line that is complete now; its error, or that a line is too long, ends it.
  Result<> feed(std::string_view bytes, const std::function<Result<>(std::string_view)>& on_line);

 private:
  std::size_t max_line_;
  std::string partial_;
};

// Takes out of a row what its reader has no use for, before the row is kept.
template <class T>
using Trim = void (*)(T&);

// Runs until cancelled. `T` is one of the model's nouns; `space` is the namespace of those of which only one is watched.
template <class T>
asio::awaitable<void>
watch(ApiClient& client, Timers& timers, Rng& rng, TableFeed<T>& feed, WatchHealth& health, Trim<T> trim = nullptr, std::string space = {});

// One watch line applied to a feed; for the fuzzer, which is why it stands alone.
struct WatchLine {
  enum class Outcome : std::uint8_t { applied, bookmark, relist, failed } outcome = Outcome::applied;
  ResourceVersion version;
  std::string text;  // of a failure
};
template <class T>
WatchLine apply_watch_line(std::string_view line, TableFeed<T>& feed, Trim<T> trim = nullptr);

}  // namespace berth::kube
