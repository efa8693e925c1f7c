// The certificates of the webhook, made by Berth itself: an authority of ten years, which the API server is told to trust, and
// a serving certificate of 90 days signed by it. Elliptic curves (P-256). Making them draws on OpenSSL's chance; reading them
// and deciding what is due are pure.
//
// No refused call in between: a new authority is trusted first, beside the old one, and only then signs what is served; the
// old one is trusted until long after everybody serves the new.
//
// Certificates are bound to the calendar, so here WallTime is compared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"

namespace berth::kube {

// In PEM. The keys are secrets: never logged, never shown.
struct CertificateSet {
  std::string authorities;     // those to trust, oldest first; the last one signs
  std::string authority_key;   // of the last one
  std::string certificate;     // what is served
  std::string key;
  bool operator==(const CertificateSet&) const = default;
};

struct Validity {
  WallTime from;
  WallTime until;
  auto operator<=>(const Validity&) const = default;
};

// What a set is worth; what can't be read is as good as not there.
struct CertificateFacts {
  std::vector<Validity> authorities;
  bool can_sign = false;  // the key is that of the last authority
  struct Serving {
    Validity validity;
    std::size_t authority = 0;  // which one signed it
    auto operator<=>(const Serving&) const = default;
  };
  std::optional<Serving> serving;  // only with its key, all names, and signed by one of the authorities
  bool operator==(const CertificateFacts&) const = default;
};

// `names`: whom the serving certificate must be made out to, host names or IP addresses.
CertificateFacts examine(const CertificateSet& set, const std::vector<std::string>& names);

struct CertificatesDue {
  bool authority = false;  // a new one, beside the others
  bool serving = false;    // a new one, by the newest authority
  bool forget = false;     // authorities that nobody needs any more
  bool urgent = false;     // there is nothing to serve
  [[nodiscard]] bool any() const { return authority || serving || forget; }
  bool operator==(const CertificatesDue&) const = default;
};

// `published`: for how long the API server has been told to trust the newest authority, as far as this process saw.
CertificatesDue certificates_due(const CertificateFacts& facts, WallTime now, std::optional<Duration> published);

// The set with what is due done. Only what `due` says changes.
CertificateSet renewed(const CertificateSet& set, const CertificatesDue& due, const std::vector<std::string>& names, WallTime now);

// Its authorities as the API server is told them, without anything between.
std::string trust_bundle(const CertificateSet& set);

struct CertificateAndKey {
  std::string certificate;
  std::string key;
};
CertificateAndKey make_authority(const Validity& validity);
// Of `authority`, for `names`.
CertificateAndKey issue(const CertificateAndKey& authority, const std::vector<std::string>& names, const Validity& validity);

}  // namespace berth::kube
