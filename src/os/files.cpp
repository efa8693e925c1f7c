#include "os/files.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace berth {
namespace {

ErrorCode code_of(int error) {
  switch (error) {
    case ENOENT: return ErrorCode::not_found;
    case EACCES:
    case EPERM: return ErrorCode::forbidden;
    case EAGAIN:
    case EMFILE:
    case ENFILE: return ErrorCode::unavailable;
    default: return ErrorCode::internal;
  }
}

tl::unexpected<Error> failed(std::string_view doing, const std::string& path, int error) {
  return fail(code_of(error), fmt::format("{} {}: {}", doing, path, std::generic_category().message(error)));
}

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

Result<> make_private_directory(const std::string& path) {
  std::error_code parents;
  const auto parent = std::filesystem::path{path}.parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, parents);
  if (parents) return failed("make directory", parent.string(), parents.value());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed("make directory", path, errno);
  const File directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (directory.get() < 0) return failed("open directory", path, errno);
  struct stat found{};
  if (::fstat(directory.get(), &found) != 0) return failed("look at directory", path, errno);
  if (found.st_uid != ::geteuid())
    return fail(ErrorCode::forbidden,
                fmt::format("directory {} belongs to user {}, not to {}: choose another", path, found.st_uid, ::geteuid()));
  if ((found.st_mode & 0777) != 0700 && ::fchmod(directory.get(), 0700) != 0) return failed("set mode of directory", path, errno);
  return {};
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.get() < 0) return failed("open", path, errno);
  std::string text;
  char chunk[16384];
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read", path, errno);
    if (got == 0) return text;
    if (text.size() + static_cast<std::size_t>(got) > limit)
      return fail(ErrorCode::invalid, fmt::format("read {}: longer than {} bytes", path, limit));
    text.append(chunk, static_cast<std::size_t>(got));
  }
}

Result<> write_private_file(const std::string& path, std::string_view text) {
  const std::string draft = path + ".new";
  ::unlink(draft.c_str());
  {
    const File file{::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (file.get() < 0) return failed("make", draft, errno);
    while (!text.empty()) {
      const ssize_t put = ::write(file.get(), text.data(), text.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failed("write", draft, errno);
      text.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) return failed("rename", draft, errno);
  return {};
}

Result<> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return failed("remove", path, errno);
}

}  // namespace berth
