#include "gobgp/client.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include <grpcpp/grpcpp.h>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/text.hpp"
#include "gobgp.grpc.pb.h"
#include "gobgp/translate.hpp"

namespace berth::gobgp {
namespace {

using namespace std::chrono_literals;

constexpr auto call_deadline = 2s;
constexpr auto stream_deadline = 10s;
constexpr std::size_t paths_a_message = 1000;
constexpr std::size_t most_messages = 2'000'000;  // of one listing; more is no engine of ours
constexpr std::size_t most_watched = 10'000;
constexpr std::uint32_t reset_outgoing = 2;

ErrorCode code_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE: return ErrorCode::unavailable;
    case grpc::StatusCode::DEADLINE_EXCEEDED: return ErrorCode::timed_out;
    case grpc::StatusCode::CANCELLED: return ErrorCode::cancelled;
    case grpc::StatusCode::NOT_FOUND: return ErrorCode::not_found;
    case grpc::StatusCode::ALREADY_EXISTS: return ErrorCode::already_exists;
    case grpc::StatusCode::INVALID_ARGUMENT: return ErrorCode::invalid;
    case grpc::StatusCode::PERMISSION_DENIED: return ErrorCode::forbidden;
    default: return ErrorCode::internal;
  }
}

Error error_of(std::string_view call, const grpc::Status& status) {
  std::string text = clipped(status.error_message(), 300);
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  if (text.empty()) text = fmt::format("status {}", static_cast<int>(status.error_code()));
  return Error{code_of(status.error_code()), fmt::format("gobgpd {}: {}", call, text)};
}

struct Call {
  grpc::ClientContext context;
  grpc::Status status;
};

// Calls under way, so that none outlives the io_context that it posts to. Shared with gRPC's threads.
class Calls {
 public:
  void begun(Call* call) {
    const std::lock_guard lock{mutex_};
    running_.insert(call);
  }
  void ended(Call* call) {
    const std::lock_guard lock{mutex_};
    running_.erase(call);
    if (running_.empty()) none_.notify_all();
  }
  void cancel_and_wait() {
    std::unique_lock lock{mutex_};
    for (Call* call : running_) call->context.TryCancel();
    none_.wait(lock, [this] { return running_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  std::set<Call*> running_;
};

using Done = std::function<void(grpc::Status)>;

// Starts a call and resumes on `executor` when it is done. `start` gets the function to call then.
template <class Start>
asio::awaitable<void> finish(asio::any_io_executor executor, std::shared_ptr<Calls> calls, std::shared_ptr<Call> call, Start start) {
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
      [&](auto handler) {
        using Handler = decltype(handler);
        struct Waiting {
          Handler handler;
          asio::executor_work_guard<asio::any_io_executor> work;
        };
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) slot.assign([call](asio::cancellation_type) { call->context.TryCancel(); });
        auto waiting = std::make_shared<Waiting>(Waiting{std::move(handler), asio::executor_work_guard<asio::any_io_executor>{executor}});
        calls->begun(call.get());
        // Nothing that refers to the io_context may be left on this thread once the call is ended.
        start([waiting, calls, call, slot](grpc::Status status) mutable {
          call->status = std::move(status);
          auto work = std::move(waiting->work);
          asio::post(work.get_executor(), [resume = std::move(waiting->handler), call, slot]() mutable {
            if (slot.is_connected()) slot.clear();
            call.reset();
            std::move(resume)();
          });
          work.reset();
          calls->ended(call.get());
        });
      },
      asio::use_awaitable);
}

template <class Request, class Response>
struct UnaryCall : Call {
  Request request;
  Response response;
};

template <class Item>
struct ListCall : Call, grpc::ClientReadReactor<Item> {
  std::vector<Item> items;
  Item item;
  Done done;
  void OnReadDone(bool ok) override {
    if (!ok) return;
    items.push_back(std::move(item));
    item.Clear();
    if (items.size() > most_messages) context.TryCancel();
    this->StartRead(&item);
  }
  void OnDone(const grpc::Status& how) override {
    const Done last = std::move(done);
    last(how);
  }
};

struct PathsCall : Call, grpc::ClientWriteReactor<api::AddPathStreamRequest> {
  std::vector<api::AddPathStreamRequest> messages;
  std::size_t written = 0;
  api::Nothing response;
  Done done;
  void write_next() {
    if (written + 1 == messages.size())
      StartWriteLast(&messages[written], grpc::WriteOptions{});
    else
      StartWrite(&messages[written]);
  }
  void OnWriteDone(bool ok) override {
    if (ok && ++written < messages.size()) write_next();
  }
  void OnDone(const grpc::Status& how) override {
    const Done last = std::move(done);
    last(how);
  }
};

// What came and was not yet handed over is kept by neighbour, so that a flood of events stays small.
struct WatchCall : Call, grpc::ClientReadReactor<api::WatchEventResponse> {
  WatchCall(asio::any_io_executor to, std::function<void(std::vector<api::Peer>)> call)
      : executor(std::move(to)), changed(std::move(call)) {}
  asio::any_io_executor executor;
  std::function<void(std::vector<api::Peer>)> changed;
  std::weak_ptr<WatchCall> self;
  api::WatchEventResponse item;
  std::mutex mutex;
  std::map<std::string, api::Peer> pending;
  bool posted = false;
  Done done;

  void OnReadDone(bool ok) override {
    if (!ok) return;
    keep(std::move(*item.mutable_peer()->mutable_peer()));
    item.Clear();
    StartRead(&item);
  }
  void keep(api::Peer peer) {
    const std::lock_guard lock{mutex};
    std::string neighbor = peer.state().neighbor_address();
    if (pending.size() < most_watched) pending.insert_or_assign(std::move(neighbor), std::move(peer));
    if (std::exchange(posted, true)) return;
    asio::post(executor, [weak = self] {
      if (const auto call = weak.lock()) call->hand_over();
    });
  }
  void hand_over() {
    std::vector<api::Peer> peers;
    {
      const std::lock_guard lock{mutex};
      posted = false;
      for (auto& [neighbor, peer] : pending) peers.push_back(std::move(peer));
      pending.clear();
    }
    changed(std::move(peers));
  }
  void OnDone(const grpc::Status& how) override {
    const Done last = std::move(done);
    last(how);
  }
};

std::shared_ptr<grpc::Channel> channel_to(const std::string& socket) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // no back-off inherited from the process before
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetMaxReceiveMessageSize(16 << 20);
  arguments.SetMaxSendMessageSize(16 << 20);
  return grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

struct Client::Core {
  using Stub = api::GoBgpService::Stub;
  asio::any_io_executor executor;
  std::unique_ptr<Stub> stub;
  std::shared_ptr<Calls> calls = std::make_shared<Calls>();

  // `method(async, context, request, response, done)` names the call; overloads can't be passed.
  template <class Response, class Request, class Method>
  static asio::awaitable<Result<Response>> unary(std::shared_ptr<Core> core, std::string_view name, Request request, Method method) {
    auto call = std::make_shared<UnaryCall<Request, Response>>();
    call->request = std::move(request);
    call->context.set_deadline(std::chrono::system_clock::now() + call_deadline);
    co_await finish(core->executor, core->calls, call, [core, &call, &method](Done done) {
      method(core->stub->async(), &call->context, &call->request, &call->response, std::move(done));
    });
    if (!call->status.ok()) co_return fail(error_of(name, call->status));
    co_return std::move(call->response);
  }

  template <class Item, class Request, class Method>
  static asio::awaitable<Result<std::vector<Item>>> list(std::shared_ptr<Core> core,
                                                         std::string_view name,
                                                         Request request,
                                                         Method method) {
    auto call = std::make_shared<ListCall<Item>>();
    call->context.set_deadline(std::chrono::system_clock::now() + stream_deadline);
    co_await finish(core->executor, core->calls, call, [&](Done done) {
      call->done = std::move(done);
      method(core->stub->async(), &call->context, &request, call.get());
      call->StartRead(&call->item);
      call->StartCall();
    });
    if (!call->status.ok()) co_return fail(error_of(name, call->status));
    co_return std::move(call->items);
  }

  template <class Request, class Method>
  static asio::awaitable<Result<>> order(std::shared_ptr<Core> core, std::string_view name, Request request, Method method) {
    auto done = co_await unary<api::Nothing>(std::move(core), name, std::move(request), method);
    if (!done) co_return fail(done.error());
    co_return Result<>{};
  }
};

Client::Client(asio::any_io_executor executor, const std::string& socket) : core_(std::make_shared<Core>()) {
  core_->executor = std::move(executor);
  core_->stub = api::GoBgpService::NewStub(channel_to(socket));
}

void Client::end() { core_->calls->cancel_and_wait(); }

#define BERTH_GOBGP_METHOD(name)                                                                  \
  [](auto* async, grpc::ClientContext* context, const auto* request, auto* response, Done done) { \
    async->name(context, request, response, std::move(done));                                     \
  }

asio::awaitable<Result<api::Global>> Client::get_bgp() {
  auto got = co_await Core::unary<api::GetBgpResponse>(core_, "GetBgp", api::Nothing{}, BERTH_GOBGP_METHOD(GetBgp));
  if (!got) co_return fail(got.error());
  co_return std::move(*got->mutable_global());
}

asio::awaitable<Result<>> Client::start_bgp(api::Global global) {
  api::StartBgpRequest request;
  *request.mutable_global() = std::move(global);
  return Core::order(core_, "StartBgp", std::move(request), BERTH_GOBGP_METHOD(StartBgp));
}

asio::awaitable<Result<>> Client::stop_bgp(bool allow_graceful_restart) {
  api::StopBgpRequest request;
  request.set_allow_graceful_restart(allow_graceful_restart);
  return Core::order(core_, "StopBgp", request, BERTH_GOBGP_METHOD(StopBgp));
}

asio::awaitable<Result<>> Client::add_peer(api::Peer peer) {
  api::PeerRequest request;
  *request.mutable_peer() = std::move(peer);
  return Core::order(core_, "AddPeer", std::move(request), BERTH_GOBGP_METHOD(AddPeer));
}

asio::awaitable<Result<>> Client::update_peer(api::Peer peer) {
  api::PeerRequest request;
  *request.mutable_peer() = std::move(peer);
  return Core::order(core_, "UpdatePeer", std::move(request), BERTH_GOBGP_METHOD(UpdatePeer));
}

asio::awaitable<Result<>> Client::delete_peer(std::string address) {
  api::DeletePeerRequest request;
  request.set_address(std::move(address));
  return Core::order(core_, "DeletePeer", std::move(request), BERTH_GOBGP_METHOD(DeletePeer));
}

asio::awaitable<Result<>> Client::set_policy_assignment(api::SetPolicyAssignmentRequest request) {
  return Core::order(core_, "SetPolicyAssignment", std::move(request), BERTH_GOBGP_METHOD(SetPolicyAssignment));
}

asio::awaitable<Result<>> Client::set_policies(api::SetPoliciesRequest request) {
  return Core::order(core_, "SetPolicies", std::move(request), BERTH_GOBGP_METHOD(SetPolicies));
}

asio::awaitable<Result<>> Client::enable_peer(std::string address) {
  api::EnablePeerRequest request;
  request.set_address(std::move(address));
  return Core::order(core_, "EnablePeer", std::move(request), BERTH_GOBGP_METHOD(EnablePeer));
}

asio::awaitable<Result<>> Client::tell_again(std::string address) {
  api::ResetPeerRequest request;
  request.set_address(std::move(address));
  request.set_soft(true);
  request.set_direction(reset_outgoing);
  return Core::order(core_, "ResetPeer", std::move(request), BERTH_GOBGP_METHOD(ResetPeer));
}

#undef BERTH_GOBGP_METHOD

asio::awaitable<Result<std::vector<api::Peer>>> Client::list_peers() {
  auto got = co_await Core::list<api::ListPeerResponse>(
      core_, "ListPeer", api::ListPeerRequest{},
      [](auto* async, auto* context, auto* request, auto* reactor) { async->ListPeer(context, request, reactor); });
  if (!got) co_return fail(got.error());
  std::vector<api::Peer> out;
  for (api::ListPeerResponse& response : *got) out.push_back(std::move(*response.mutable_peer()));
  co_return out;
}

asio::awaitable<Result<std::vector<api::Path>>> Client::list_paths(api::Family family) {
  api::ListPathRequest request;
  request.set_table_type(table_global);
  *request.mutable_family() = std::move(family);
  auto got = co_await Core::list<api::ListPathResponse>(
      core_, "ListPath", std::move(request),
      [](auto* async, auto* context, auto* to, auto* reactor) { async->ListPath(context, to, reactor); });
  if (!got) co_return fail(got.error());
  std::vector<api::Path> out;
  for (api::ListPathResponse& response : *got)
    for (api::Path& path : *response.mutable_destination()->mutable_paths()) out.push_back(std::move(path));
  co_return out;
}

asio::awaitable<Result<>> Client::change_paths(std::vector<api::Path> paths) {
  if (paths.empty()) co_return Result<>{};
  auto call = std::make_shared<PathsCall>();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (i % paths_a_message == 0) call->messages.emplace_back().set_table_type(table_global);
    *call->messages.back().add_paths() = std::move(paths[i]);
  }
  call->context.set_deadline(std::chrono::system_clock::now() + stream_deadline);
  const auto core = core_;
  co_await finish(core->executor, core->calls, call, [&](Done done) {
    call->done = std::move(done);
    core->stub->async()->AddPathStream(&call->context, &call->response, call.get());
    call->write_next();
    call->StartCall();
  });
  if (!call->status.ok()) co_return fail(error_of("AddPathStream", call->status));
  co_return Result<>{};
}

asio::awaitable<Error> Client::watch_peers(std::function<void(std::vector<api::Peer>)> changed) {
  const auto core = core_;
  auto call = std::make_shared<WatchCall>(core->executor, std::move(changed));
  call->self = call;
  api::WatchEventRequest request;
  request.mutable_peer();
  co_await finish(core->executor, core->calls, call, [&](Done done) {
    call->done = std::move(done);
    core->stub->async()->WatchEvent(&call->context, &request, call.get());
    call->StartRead(&call->item);
    call->StartCall();
  });
  co_return error_of("WatchEvent", call->status);
}

}  // namespace berth::gobgp
