#include "kube/json_reader.hpp"

#include <boost/json/basic_parser_impl.hpp>

namespace berth::kube::json_detail {
namespace {

namespace json = boost::json;
using Text = json::string_view;
using Code = json::error_code;

// CRD schemas and managedFields nest deeper than the parser's default of 32, skipped content counts too.
constexpr std::size_t max_depth = 1000;

struct Frame {
  Slot slot;               // the object or list that is open; where == null: skipped
  const char* name = "";   // of the member being read
  std::size_t index = 0;   // of the element being read
};

struct Handler {
  static constexpr std::size_t max_object_size = std::size_t{1} << 24;
  static constexpr std::size_t max_array_size = std::size_t{1} << 24;
  static constexpr std::size_t max_key_size = std::size_t{1} << 20;
  static constexpr std::size_t max_string_size = std::size_t{1} << 24;

  explicit Handler(Slot root_slot) : root(root_slot) {}

  Slot root;
  std::vector<Frame> frames;
  std::string partial;  // of a string or key that came in pieces
  std::string problem;
  std::size_t skipped = 0;  // open objects and lists within something skipped
  Slot next;                // where the value after a key goes

  Slot take() {
    Slot slot;
    if (frames.empty()) {
      slot = root;
    } else if (Frame& top = frames.back(); top.slot.type->element != nullptr) {
      slot = top.slot.type->element(top.slot.where);
      ++top.index;
    } else {
      slot = next;
    }
    while (slot.where != nullptr && slot.type->inner != nullptr) slot = slot.type->inner(slot.where);
    return slot;
  }
  void report(const Slot& slot) {
    if (!problem.empty()) return;
    for (const Frame& frame : frames) {
      if (frame.slot.type->element != nullptr) {
        problem += fmt_index(frame.index - 1);
      } else if (*frame.name != '\0') {
        if (!problem.empty()) problem += '.';
        problem += frame.name;
      }
    }
    if (problem.empty()) problem = "the document";
    problem += std::string{": expected "} + slot.type->expected;
  }
  static std::string fmt_index(std::size_t index) { return "[" + std::to_string(index) + "]"; }

  // null: a list element that is null would have been made already, so it is just default.
  bool on_null(Code&) {
    if (skipped == 0 && !frames.empty() && frames.back().slot.type->element != nullptr) take();
    return true;
  }
  template <class Set>
  void scalar(Set&& set) {
    if (skipped > 0) return;
    const Slot slot = take();
    if (slot.where != nullptr && !set(slot)) report(slot);
  }
  bool open(bool list) {
    if (skipped > 0) {
      ++skipped;
      return true;
    }
    const Slot slot = take();
    const bool fits = slot.where != nullptr && (list ? slot.type->element != nullptr : slot.type->member != nullptr);
    if (slot.where != nullptr && !fits) report(slot);
    if (fits) {
      frames.push_back({slot});
    } else {
      ++skipped;
    }
    return true;
  }
  bool close() {
    if (skipped > 0) {
      --skipped;
    } else {
      frames.pop_back();
    }
    return true;
  }
  bool integer(bool negative, std::uint64_t magnitude) {
    scalar([&](const Slot& slot) { return slot.type->set_integer != nullptr && slot.type->set_integer(slot.where, negative, magnitude); });
    return true;
  }

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return open(false); }
  bool on_object_end(std::size_t, Code&) { return close(); }
  bool on_array_begin(Code&) { return open(true); }
  bool on_array_end(std::size_t, Code&) { return close(); }
  bool on_key_part(Text text, std::size_t, Code&) {
    if (skipped == 0) partial.append(text.data(), text.size());
    return true;
  }
  bool on_key(Text text, std::size_t, Code&) {
    if (skipped > 0) return true;
    std::string_view key{text.data(), text.size()};
    if (!partial.empty()) {
      partial.append(key);
      key = partial;
    }
    Frame& top = frames.back();
    next = top.slot.type->member(top.slot.where, key);
    top.name = next.name;
    partial.clear();
    return true;
  }
  bool on_string_part(Text text, std::size_t, Code&) {
    if (skipped == 0) partial.append(text.data(), text.size());
    return true;
  }
  bool on_string(Text text, std::size_t, Code&) {
    std::string_view value{text.data(), text.size()};
    if (!partial.empty()) {
      partial.append(value);
      value = partial;
    }
    scalar([&](const Slot& slot) { return slot.type->set_string != nullptr && slot.type->set_string(slot.where, value); });
    partial.clear();
    return true;
  }
  bool on_number_part(Text, Code&) { return true; }
  bool on_int64(std::int64_t value, Text, Code&) {
    return value < 0 ? integer(true, std::uint64_t{0} - static_cast<std::uint64_t>(value))
                     : integer(false, static_cast<std::uint64_t>(value));
  }
  bool on_uint64(std::uint64_t value, Text, Code&) { return integer(false, value); }
  bool on_double(double, Text, Code&) {
    scalar([](const Slot&) { return false; });
    return true;
  }
  bool on_bool(bool value, Code&) {
    scalar([&](const Slot& slot) { return slot.type->set_bool != nullptr && slot.type->set_bool(slot.where, value); });
    return true;
  }
  bool on_comment_part(Text, Code&) { return true; }
  bool on_comment(Text, Code&) { return true; }
};

json::parse_options options() {
  json::parse_options chosen;
  chosen.max_depth = max_depth;
  return chosen;
}

}  // namespace

struct Core::Impl {
  explicit Impl(Slot root) : parser(options(), root) {}
  json::basic_parser<Handler> parser;
  Code error;

  Result<> write(bool more, std::string_view bytes) {
    if (error) return refuse();
    const std::size_t used = parser.write_some(more, bytes.data(), bytes.size(), error);
    if (!error && used < bytes.size() && bytes.substr(used).find_first_not_of(" \t\r\n") != std::string_view::npos)
      error = json::error::extra_data;
    if (error) return refuse();
    return {};
  }
  [[nodiscard]] tl::unexpected<Error> refuse() const { return fail(ErrorCode::invalid, "not JSON: " + error.message()); }
};

Core::Core(Slot root) : impl_(std::make_unique<Impl>(root)) {}
Core::~Core() = default;
Result<> Core::feed(std::string_view bytes) { return impl_->write(true, bytes); }
Result<> Core::finish() {
  if (!impl_->error && impl_->parser.done()) return {};
  return impl_->write(false, {});
}
const std::string& Core::problem() const { return impl_->parser.handler().problem; }

}  // namespace berth::kube::json_detail
