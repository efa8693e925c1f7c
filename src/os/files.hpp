// The few things Berth does with files.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace berth {

// Makes `path` (and its parents) if it is missing, with mode 0700. An existing one must be a directory of
// ours; its mode is set to 0700. A link or somebody else's directory is an error: what is put there, such
// as a control socket without a password, would be theirs.
Result<> make_private_directory(const std::string& path);

// The whole file, which may have `limit` bytes at most.
Result<std::string> read_file(const std::string& path, std::size_t limit);

// The whole file, with mode 0600, in one step: who reads it has the old text or the new one.
Result<> write_private_file(const std::string& path, std::string_view text);

// Removes a file or socket; a missing one is fine.
Result<> remove_file(const std::string& path);

}  // namespace berth
