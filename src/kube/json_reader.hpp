// JsonReader<T>: bytes of JSON, in pieces cut anywhere, straight into described structs, without a tree
// in between. Unknown members are skipped unbuilt, null leaves a member as it is, and a value of a wrong
// type or range leaves it too and is reported as `problem`: one odd field must not cost the whole list.
//
// A struct takes part by BOOST_DESCRIBE_STRUCT; members are called as in JSON, with a trailing
// underscore where the name is a C++ keyword (`namespace_`). Supported: structs, std::string, bool,
// integers, std::optional, std::vector and std::map<std::string, X>.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <boost/describe.hpp>
#include <boost/mp11.hpp>

#include "base/result.hpp"

namespace berth::kube {

namespace json_detail {

struct ValueType;
struct Slot {
  void* where = nullptr;  // null: skip what comes
  const ValueType* type = nullptr;
  const char* name = "";  // for messages; empty within maps and lists
};

// How a value of one C++ type takes what the parser finds. A null function refuses.
struct ValueType {
  const char* expected;
  bool (*set_string)(void*, std::string_view) = nullptr;
  bool (*set_integer)(void*, bool negative, std::uint64_t magnitude) = nullptr;
  bool (*set_bool)(void*, bool) = nullptr;
  Slot (*member)(void*, std::string_view key) = nullptr;  // objects and maps
  Slot (*element)(void*) = nullptr;                       // lists
  Slot (*inner)(void*) = nullptr;                         // optionals: made when a value comes
};

template <class T>
extern const ValueType value_type;

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T, class C>
struct IsMap<std::map<std::string, T, C>> : std::true_type {};

inline bool same_name(const char* member, std::string_view key) {
  const std::string_view name{member};
  return name == key || (name.ends_with('_') && name.substr(0, name.size() - 1) == key);
}

template <class T>
constexpr ValueType make_value_type() {
  if constexpr (std::same_as<T, std::string>) {
    return {.expected = "a string", .set_string = [](void* at, std::string_view text) {
              static_cast<T*>(at)->assign(text);
              return true;
            }};
  } else if constexpr (std::same_as<T, bool>) {
    return {.expected = "true or false", .set_bool = [](void* at, bool value) {
              *static_cast<T*>(at) = value;
              return true;
            }};
  } else if constexpr (std::integral<T>) {
    return {.expected = "an integer in range", .set_integer = [](void* at, bool negative, std::uint64_t magnitude) {
              constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
              if (negative) {
                if constexpr (std::is_signed_v<T>) {
                  if (magnitude > most + 1) return false;
                  *static_cast<T*>(at) = static_cast<T>(-static_cast<T>(magnitude - 1) - 1);
                  return true;
                }
                return false;
              }
              if (magnitude > most) return false;
              *static_cast<T*>(at) = static_cast<T>(magnitude);
              return true;
            }};
  } else if constexpr (IsOptional<T>::value) {
    using V = typename T::value_type;
    return {.expected = "", .inner = [](void* at) { return Slot{&static_cast<T*>(at)->emplace(), &value_type<V>, ""}; }};
  } else if constexpr (IsVector<T>::value) {
    using V = typename T::value_type;
    return {.expected = "a list", .element = [](void* at) { return Slot{&static_cast<T*>(at)->emplace_back(), &value_type<V>, ""}; }};
  } else if constexpr (IsMap<T>::value) {
    using V = typename T::mapped_type;
    return {.expected = "an object",
            .member = [](void* at, std::string_view key) { return Slot{&(*static_cast<T*>(at))[std::string{key}], &value_type<V>, ""}; }};
  } else {
    using Members = boost::describe::describe_members<T, boost::describe::mod_public>;
    return {.expected = "an object", .member = [](void* at, std::string_view key) {
              Slot found;
              boost::mp11::mp_for_each<Members>([&](auto member) {
                if (found.where == nullptr && same_name(member.name, key)) {
                  auto& value = static_cast<T*>(at)->*member.pointer;
                  found = {&value, &value_type<std::remove_cvref_t<decltype(value)>>, member.name};
                }
              });
              return found;
            }};
  }
}
template <class T>
inline constexpr ValueType value_type = make_value_type<T>();

// The parser itself, once for all types.
class Core {
 public:
  explicit Core(Slot root);
  ~Core();
  [[nodiscard]] Result<> feed(std::string_view bytes);
  [[nodiscard]] Result<> finish();
  [[nodiscard]] const std::string& problem() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace json_detail

template <class T>
class JsonReader {
 public:
  JsonReader() : core_({&value_, &json_detail::value_type<T>, ""}) {}
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // invalid: not JSON. More pieces after an error are refused with the same error.
  [[nodiscard]] Result<> feed(std::string_view bytes) { return core_.feed(bytes); }
  // invalid: the text ended too early.
  [[nodiscard]] Result<> finish() { return core_.finish(); }
  [[nodiscard]] T& value() { return value_; }
  // The first member that had a wrong type or range: "spec.as: expected an integer in range". Or empty.
  [[nodiscard]] const std::string& problem() const { return core_.problem(); }

 private:
  T value_{};
  json_detail::Core core_;
};

template <class T>
struct ReadJson {
  T value;
  std::string problem;
};
template <class T>
Result<ReadJson<T>> read_json(std::string_view text) {
  JsonReader<T> reader;
  if (auto fed = reader.feed(text); !fed) return fail(fed.error());
  if (auto done = reader.finish(); !done) return fail(done.error());
  return ReadJson<T>{std::move(reader.value()), reader.problem()};
}

}  // namespace berth::kube
