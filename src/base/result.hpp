// Result<T>: what the world outside answered. An operating error is a value that says what happened
// and, where a person can do something about it, what. Ignoring one is a compile error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace berth {

enum class ErrorCode : std::uint8_t {
  unavailable,      // not reachable, or it answered 5xx: try again later
  timed_out,        // no answer within the deadline
  throttled,        // 429: try again after `retry_after`
  not_found,        // 404
  already_exists,   // 409 on create
  conflict,         // 409 or a precondition that failed: read again and plan again
  gone,             // 410: the resourceVersion is too old, list again
  forbidden,        // 403: a right is missing
  unauthorized,     // 401: the credentials are wrong or expired
  invalid,          // input that breaks a rule; retrying the same cannot help
  cancelled,        // we are shutting down
  internal,         // anything else
};
std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string text;  // one line: what failed, on what, and what to do about it if a person can

  // Adds what was being done, once, on the way up: "add peer 10.0.0.1: connection refused".
  [[nodiscard]] Error with(std::string_view doing) const { return Error{code, std::string{doing} + ": " + text}; }
  bool operator==(const Error&) const = default;
};

template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

inline tl::unexpected<Error> fail(ErrorCode code, std::string text) { return tl::unexpected<Error>{Error{code, std::move(text)}}; }
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>{std::move(error)}; }

}  // namespace berth
