// What gobgpd has told routers, and telling it once more: calls in their order, each for one purpose. What is known meanwhile is the
// engine's. `api` and `timers` outlive each call.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/asio.hpp"
#include "base/result.hpp"
#include "base/timers.hpp"
#include "gobgp/doubts.hpp"
#include "gobgp/policies.hpp"
#include "gobgp/ports.hpp"

namespace berth::gobgp {

// All routes again, as the policies say now. But not to those that gobgpd has told nothing yet since it started: they get all as it is when
// that is over, and until then it would keep changes to itself, withdrawals too.
asio::awaitable<Result<>> tell_all_again(Api& api);

// Does what Doubts asks for. `audiences` are those that gobgpd's policies know: a prefix that had another one would be heard by everybody.
asio::awaitable<Result<>> cure(Api& api, Doubts::Cure what, std::optional<Audiences> audiences);

// Until nothing waits to be sent to routers without ADD-PATH; 200 ms at most, since the others wait, too.
asio::awaitable<void> wait_until_sent(Api& api, Timers& timers, Doubts& doubts);

// UPDATEs sent in each session that is up, by neighbour.
using UpdatesSent = std::map<std::string, std::uint64_t>;
asio::awaitable<UpdatesSent> updates_sent(Api& api);
// Until each of these sessions sent one more, or ended; `patience` at most.
asio::awaitable<void> wait_for_updates(Api& api, Timers& timers, UpdatesSent before, Duration patience);

}  // namespace berth::gobgp
