// A watch stream: the same lines wherever its pieces end, and a line changes the feed exactly when it
// says that it did.
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "pieces.hpp"
#include "kube/watch.hpp"

namespace berth::kube {
namespace {

struct Split {
  std::vector<std::string> lines;
  bool ok = true;
  bool operator==(const Split&) const = default;
};

// What the splitter promises, in the simplest words.
Split expected(std::string_view stream, std::size_t max_line) {
  Split out;
  while (!stream.empty()) {
    const std::size_t end = stream.find('\n');
    const std::string_view line = stream.substr(0, end);
    if (line.size() > max_line) {
      out.ok = false;
      return out;
    }
    if (end == std::string_view::npos) return out;
    if (!line.empty()) out.lines.emplace_back(line);
    stream.remove_prefix(end + 1);
  }
  return out;
}

Split split(const std::vector<std::vector<char>>& pieces, std::size_t max_line) {
  LineSplitter splitter{max_line};
  Split out;
  for (const auto& piece : pieces) {
    const auto fed = splitter.feed(fuzz::view(piece), [&](std::string_view line) {
      out.lines.emplace_back(line);
      return Result<>{};
    });
    if (!fed) {
      out.ok = false;
      return out;
    }
  }
  return out;
}

template <class T>
class CountingFeed final : public TableFeed<T> {
 public:
  void replace(std::vector<T>, ResourceVersion, bool) override { BERTH_CHECK(false, "a watch line replaces nothing"); }
  void upsert(T row) override {
    ++changes;
    BERTH_CHECK(!(row.key() == typename T::Key{}), "a row has a name");
    version = row.version;
  }
  void erase(typename T::Key key, ResourceVersion at) override {
    ++changes;
    BERTH_CHECK(!(key == typename T::Key{}), "a row has a name");
    version = std::move(at);
  }
  int changes = 0;
  ResourceVersion version;
};

template <class T>
void apply(const std::string& line) {
  using Outcome = WatchLine::Outcome;
  CountingFeed<T> feed;
  const WatchLine result = apply_watch_line<T>(line, feed);
  BERTH_CHECK(feed.changes == (result.outcome == Outcome::applied ? 1 : 0), "one change for each line that was applied");
  if (result.outcome == Outcome::applied)
    BERTH_CHECK(!result.version.text.empty() && result.version == feed.version, "the watch goes on from the object's version");
  if (result.outcome == Outcome::failed || result.outcome == Outcome::relist) {
    BERTH_CHECK(!result.text.empty(), "a failure says why");
    BERTH_CHECK(result.version.text.empty(), "a failure moves nothing");
  }
}

void apply_all(const std::string& line) {
  apply<Service>(line);
  apply<Node>(line);
  apply<Namespace>(line);
  apply<EndpointSlice>(line);
  apply<Pool>(line);
  apply<AddressBlock>(line);
  apply<BgpConf>(line);
  apply<BgpPeer>(line);
}

}  // namespace
}  // namespace berth::kube

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace kube = berth::kube;
  const std::string_view stream{reinterpret_cast<const char*>(data), size};
  for (const std::size_t max_line : {std::size_t{16}, std::size_t{1} << 20}) {
    const kube::Split wanted = kube::expected(stream, max_line);
    BERTH_CHECK(kube::split(berth::fuzz::pieces(stream), max_line) == wanted, "the same lines wherever pieces end");
    BERTH_CHECK(kube::split({{stream.begin(), stream.end()}}, max_line) == wanted, "the same lines in one piece");
    if (max_line > size)
      for (const std::string& line : wanted.lines) kube::apply_all(line);
  }
  return 0;
}
