#include "kube/watch.hpp"

#include <utility>
#include <vector>

#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <fmt/format.h>

#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "kube/decode.hpp"

namespace berth::kube {
namespace {

constexpr int page_size = 500;
constexpr std::size_t max_line = std::size_t{16} << 20;  // an object is at most 1.5 MiB in etcd, managedFields included
constexpr auto list_silence = std::chrono::seconds{30};
// The API server sends a bookmark about once a minute where nothing else happens, the first after two.
constexpr auto watch_silence = std::chrono::seconds{180};
constexpr int watch_seconds = 300;
constexpr auto long_enough = std::chrono::seconds{1};
constexpr int max_fruitless = 5;  // then it is listed anew: perhaps one event can't be read
constexpr Backoff::Limits waits{.initial = std::chrono::milliseconds{100}, .limit = std::chrono::seconds{5}};

template <class T>
struct Kind;
template <>
struct Kind<Service> {
  using Wire = api::Service;
  static constexpr const char* path = "/api/v1/services";
  static constexpr const char* selector = "";
};
template <>
struct Kind<Node> {
  using Wire = api::Node;
  static constexpr const char* path = "/api/v1/nodes";
  static constexpr const char* selector = "";
};
template <>
struct Kind<Namespace> {
  using Wire = api::Namespace;
  static constexpr const char* path = "/api/v1/namespaces";
  static constexpr const char* selector = "";
};
template <>
struct Kind<EndpointSlice> {
  using Wire = api::EndpointSlice;
  static constexpr const char* path = "/apis/discovery.k8s.io/v1/endpointslices";
  // Slices of Services; those of headless ones can't belong to a load balancer.
  static constexpr const char* selector = "kubernetes.io/service-name,!service.kubernetes.io/headless";
};
template <>
struct Kind<Pool> {
  using Wire = api::Eip;
  static constexpr const char* path = "/apis/network.kubesphere.io/v1alpha2/eips";
  static constexpr const char* selector = "";
};
template <>
struct Kind<AddressBlock> {
  using Wire = api::AddressBlock;
  static constexpr const char* path = "/apis/network.kubesphere.io/v1alpha2/addressblocks";
  static constexpr const char* selector = "";
};
template <>
struct Kind<BgpConf> {
  using Wire = api::BgpConf;
  static constexpr const char* path = "/apis/network.kubesphere.io/v1alpha2/bgpconfs";
  static constexpr const char* selector = "";
};
template <>
struct Kind<BgpPeer> {
  using Wire = api::BgpPeer;
  static constexpr const char* path = "/apis/network.kubesphere.io/v1alpha2/bgppeers";
  static constexpr const char* selector = "";
};
template <>
struct Kind<PasswordSecret> {
  using Wire = api::PasswordSecret;
  static constexpr const char* path = "/api/v1/namespaces/{}/secrets";
  static constexpr const char* selector = "";
  static constexpr const char* fields = "type=kubernetes.io/basic-auth";
};
template <>
struct Kind<PolicyConfigMap> {
  using Wire = api::PolicyConfigMap;
  static constexpr const char* path = "/api/v1/namespaces/{}/configmaps";
  static constexpr const char* selector = "";
};

std::string escaped(std::string_view text) { return boost::urls::encode(text, boost::urls::unreserved_chars); }

template <class T>
T trimmed(T row, Trim<T> trim) {
  if (trim != nullptr) trim(row);
  return row;
}

template <class T>
class Watcher {
 public:
  Watcher(ApiClient& client, Timers& timers, Rng& rng, TableFeed<T>& feed, WatchHealth& health, Trim<T> trim, const std::string& space)
      : client_(client),
        timers_(timers),
        rng_(rng),
        feed_(feed),
        health_(health),
        trim_(trim),
        path_(fmt::format(fmt::runtime(Kind<T>::path), escaped(space))) {}

  asio::awaitable<void> run() {
    bool listed = false;
    for (;;) {
      Result<> done = listed ? co_await watch_once() : co_await list();
      Backoff* backoff = &backoff_;
      if (!listed) {
        listed = just_listed_ = done.has_value();
        if (listed) continue;
      } else if (relist_) {
        // The server has answered: only lists that lead to nothing are a reason to wait longer.
        listed = false;
        backoff_.succeeded();
        backoff = &relists_;
      } else if (lived_) {
        continue;
      } else if (fruitless_ == max_fruitless) {
        listed = false;
        fruitless_ = 0;
      }
      if (!done && done.error().code != ErrorCode::cancelled && health_.error != done.error().text) {
        health_.error = done.error().text;
        log::warning("watch_interrupted", {{"kind", health_.kind}, {"error", health_.error}});
      }
      co_await timers_.sleep_for(backoff->next(rng_));
    }
  }

 private:
  using Wire = typename Kind<T>::Wire;

  // It is watching, whether something is to be heard or not.
  void watching() {
    if (health_.error.empty()) return;
    log::info("watch_resumed", {{"kind", health_.kind}});
    health_.error.clear();
  }

  [[nodiscard]] std::string path(std::string_view query) const {
    std::string text = fmt::format("{}?{}", path_, query);
    if (*Kind<T>::selector != '\0') text += "&labelSelector=" + escaped(Kind<T>::selector);
    if constexpr (requires { Kind<T>::fields; }) text += "&fieldSelector=" + escaped(Kind<T>::fields);
    return text;
  }

  asio::awaitable<Result<>> list() {
    std::vector<T> rows;
    std::string next;
    ResourceVersion version;
    do {
      JsonReader<api::List<Wire>> reader;
      std::string query = fmt::format("limit={}", page_size);
      if (!next.empty()) query += "&continue=" + escaped(next);
      auto done = co_await client_.stream(path(query), [&reader](std::string_view bytes) { return reader.feed(bytes); }, list_silence);
      if (done) done = reader.finish();
      if (!done) co_return fail(done.error());
      if (!reader.problem().empty()) log::warning("odd_field", {{"kind", health_.kind}, {"problem", reader.problem()}});
      api::List<Wire>& page = reader.value();
      rows.reserve(rows.size() + page.items.size());
      for (Wire& item : page.items) rows.push_back(trimmed(to_model(std::move(item)), trim_));
      version = {page.metadata.resourceVersion};
      next = std::move(page.metadata.continue_);
    } while (!next.empty());

    ++health_.lists;
    const bool history_lost = version.older_than(version_);
    if (history_lost) log::warning("history_lost", {{"kind", health_.kind}, {"version", version.text}, {"known", version_.text}});
    version_ = version;
    feed_.replace(std::move(rows), version, history_lost);
    health_.synced = true;
    health_.heard = timers_.now();
    co_return Result<>{};
  }

  // A store that was restored from a backup does not know our version, but gives a watch from it all the
  // same, with nothing but bookmarks in it (seen on Kubernetes 1.34). So we ask before we resume.
  asio::awaitable<Result<bool>> server_forgot() {
    JsonReader<api::List<Wire>> reader;
    auto done = co_await client_.stream(path("limit=1"), [&reader](std::string_view bytes) { return reader.feed(bytes); }, list_silence);
    if (done) done = reader.finish();
    if (!done) co_return fail(done.error());
    co_return ResourceVersion{reader.value().metadata.resourceVersion}.older_than(version_);
  }

  // Sets `lived_` if it was worth something, which is what tells a broken stream (weather) from one that
  // comes to nothing, and `relist_` if only a new list helps.
  asio::awaitable<Result<>> watch_once() {
    relist_ = lived_ = false;
    if (!std::exchange(just_listed_, false)) {
      const auto forgot = co_await server_forgot();
      if (!forgot) co_return fail(forgot.error());
      relist_ = *forgot;
      if (relist_) co_return fail(ErrorCode::gone, "the API server has forgotten what it told: its store was restored from a backup");
    }
    ++health_.watches;
    LineSplitter splitter{max_line};
    const int timeout = watch_seconds + static_cast<int>(60 * rng_.fraction());
    const std::string query = fmt::format("watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}", escaped(version_.text),
                                          timeout);
    const ResourceVersion began_at = version_;
    std::optional<Instant> began;
    auto done = co_await client_.stream(
        path(query),
        [&](std::string_view bytes) {
          if (!began) began = timers_.now();
          watching();
          return splitter.feed(bytes, [&](std::string_view line) { return take(line); });
        },
        watch_silence);
    lived_ = version_ != began_at || (began && timers_.now() - *began >= long_enough);
    if (lived_) {
      fruitless_ = 0;
      backoff_.succeeded();
      relists_.succeeded();
    } else if (began) {
      ++fruitless_;
    }
    if (!done) {
      // 410 in either form, or a version from a future that a restored store does not know.
      const ErrorCode code = done.error().code;
      relist_ = code == ErrorCode::gone || code == ErrorCode::invalid ||
                done.error().text.find("Too large resource version") != std::string::npos;
    } else if (!lived_) {
      done = fail(ErrorCode::unavailable, "the API server ended the watch at once");
    }
    co_return done;
  }

  Result<> take(std::string_view line) {
    WatchLine result = apply_watch_line<T>(line, feed_, trim_);
    switch (result.outcome) {
      case WatchLine::Outcome::relist: return fail(ErrorCode::gone, std::move(result.text));
      case WatchLine::Outcome::failed: return fail(ErrorCode::unavailable, std::move(result.text));
      case WatchLine::Outcome::applied: ++health_.events; break;
      case WatchLine::Outcome::bookmark: break;
    }
    if (!result.version.text.empty()) version_ = std::move(result.version);
    if (!result.text.empty()) log::warning("odd_field", {{"kind", health_.kind}, {"problem", result.text}});
    health_.heard = timers_.now();
    return {};
  }

  ApiClient& client_;
  Timers& timers_;
  Rng& rng_;
  TableFeed<T>& feed_;
  WatchHealth& health_;
  const Trim<T> trim_;
  const std::string path_;
  ResourceVersion version_;
  bool just_listed_ = false;
  bool relist_ = false;
  bool lived_ = false;
  int fruitless_ = 0;  // watches in a row that the server took, and that did not live
  Backoff backoff_{waits};
  Backoff relists_{waits};
};

}  // namespace

Result<> LineSplitter::feed(std::string_view bytes, const std::function<Result<>(std::string_view)>& on_line) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (partial_.size() + part.size() > max_line_) return fail(ErrorCode::invalid, "a watch line is longer than any object can be");
    if (end == std::string_view::npos) {
      partial_.append(part);
      return {};
    }
    bytes.remove_prefix(end + 1);
    Result<> done;
    if (partial_.empty()) {
      if (!part.empty()) done = on_line(part);
    } else {
      partial_.append(part);
      const std::string line = std::exchange(partial_, {});
      done = on_line(line);
    }
    if (!done) return done;
  }
  return {};
}

template <class T>
WatchLine apply_watch_line(std::string_view line, TableFeed<T>& feed, Trim<T> trim) {
  using Wire = typename Kind<T>::Wire;
  using Outcome = WatchLine::Outcome;
  auto read = read_json<api::WatchEvent<Wire>>(line);
  if (!read) return {Outcome::failed, {}, "watch line: " + read.error().text};
  api::WatchEvent<Wire>& event = read->value;
  if (event.type == "ERROR") {
    auto status = read_json<api::WatchEvent<api::Status>>(line);
    if (!status) return {Outcome::failed, {}, status.error().text};
    const api::Status& said = status->value.object;
    return {said.code == 410 ? Outcome::relist : Outcome::failed, {}, "watch: " + clipped(said.message, 500)};
  }
  ResourceVersion version{event.object.metadata.resourceVersion};
  if (event.type == "BOOKMARK") return {Outcome::bookmark, std::move(version), ""};
  if (event.object.metadata.name.empty() || version.text.empty())
    return {Outcome::failed, {}, "watch: an object without a name or resourceVersion"};
  if (event.type == "DELETED") {
    feed.erase(to_model(std::move(event.object)).key(), version);
  } else if (event.type == "ADDED" || event.type == "MODIFIED") {
    feed.upsert(trimmed(to_model(std::move(event.object)), trim));
  } else {
    return {Outcome::failed, {}, "watch: unknown event type \"" + clipped(event.type, 40) + "\""};
  }
  return {Outcome::applied, std::move(version), std::move(read->problem)};
}

template <class T>
asio::awaitable<void>
watch(ApiClient& client, Timers& timers, Rng& rng, TableFeed<T>& feed, WatchHealth& health, Trim<T> trim, std::string space) {
  Watcher<T> watcher{client, timers, rng, feed, health, trim, space};
  co_await watcher.run();
}

#define BERTH_KUBE_KIND(T)                                                                                               \
  template asio::awaitable<void> watch<T>(ApiClient&, Timers&, Rng&, TableFeed<T>&, WatchHealth&, Trim<T>, std::string); \
  template WatchLine apply_watch_line<T>(std::string_view, TableFeed<T>&, Trim<T>);
BERTH_KUBE_KIND(Service)
BERTH_KUBE_KIND(Node)
BERTH_KUBE_KIND(Namespace)
BERTH_KUBE_KIND(EndpointSlice)
BERTH_KUBE_KIND(Pool)
BERTH_KUBE_KIND(AddressBlock)
BERTH_KUBE_KIND(BgpConf)
BERTH_KUBE_KIND(BgpPeer)
BERTH_KUBE_KIND(PasswordSecret)
BERTH_KUBE_KIND(PolicyConfigMap)
#undef BERTH_KUBE_KIND

}  // namespace berth::kube
