// Base64 (RFC 4648 §4), as Secrets, kubeconfigs and caBundles have it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace berth::kube {

std::string to_base64(std::string_view bytes);
// Line ends and blanks are skipped. Nothing for what is no base64, or empty.
std::optional<std::string> from_base64(std::string text);

}  // namespace berth::kube
