#include "kube/certificate.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>

#include "base/check.hpp"
#include "model/ip_address.hpp"

namespace berth::kube {
namespace {

using namespace std::chrono_literals;

constexpr auto authority_life = std::chrono::hours{24} * 3653;
constexpr auto serving_life = std::chrono::hours{24} * 90;
// Clocks differ: a certificate holds from a while before it was made.
constexpr auto earlier = 1h;
// The API servers hear of a change of their configuration by a watch.
constexpr Duration trusted_after = 60s;
// In that time each replica has read the new certificate thousands of times.
constexpr auto trusted_on = std::chrono::hours{24} + earlier;
constexpr std::size_t max_authorities = 4;

struct Free {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// -- reading --------------------------------------------------------------------------------------

Owned<BIO> reader_of(const std::string& text) { return Owned<BIO>{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))}; }

// Without this, OpenSSL would ask the terminal for the pass phrase of an encrypted key.
int no_pass_phrase(char*, int, int, void*) { return -1; }

std::vector<Owned<X509>> read_certificates(const std::string& pem) {
  std::vector<Owned<X509>> out;
  const Owned<BIO> from = reader_of(pem);
  while (out.size() < max_authorities) {
    Owned<X509> one{PEM_read_bio_X509(from.get(), nullptr, no_pass_phrase, nullptr)};
    if (!one) break;
    out.push_back(std::move(one));
  }
  ERR_clear_error();
  return out;
}

Owned<EVP_PKEY> read_key(const std::string& pem) {
  const Owned<BIO> from = reader_of(pem);
  Owned<EVP_PKEY> key{PEM_read_bio_PrivateKey(from.get(), nullptr, no_pass_phrase, nullptr)};
  ERR_clear_error();
  return key;
}

WallTime time_of(const ASN1_TIME* time) {
  std::tm calendar{};
  if (ASN1_TIME_to_tm(time, &calendar) != 1) return {};
  return {std::chrono::seconds{timegm(&calendar)}};
}
Validity validity_of(const X509* certificate) {
  return {time_of(X509_get0_notBefore(certificate)), time_of(X509_get0_notAfter(certificate))};
}

bool matches(X509* certificate, EVP_PKEY* key) {
  const bool fits = certificate != nullptr && key != nullptr && X509_check_private_key(certificate, key) == 1;
  ERR_clear_error();
  return fits;
}

bool is_for(X509* certificate, const std::vector<std::string>& names) {
  return std::ranges::all_of(names, [&](const std::string& name) {
    return IpAddress::parse(name)
               ? X509_check_ip_asc(certificate, name.c_str(), 0) == 1
               : X509_check_host(certificate, name.data(), name.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
  });
}

bool signed_by(X509* certificate, X509* authority) {
  const bool fits = X509_check_issued(authority, certificate) == X509_V_OK && X509_verify(certificate, X509_get0_pubkey(authority)) == 1;
  ERR_clear_error();
  return fits;
}

// -- making ---------------------------------------------------------------------------------------

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}
std::string to_pem(X509* certificate) {
  const Owned<BIO> to{BIO_new(BIO_s_mem())};
  BERTH_CHECK(to && PEM_write_bio_X509(to.get(), certificate) == 1, "a certificate can be written");
  return text_of(to.get());
}
std::string to_pem(EVP_PKEY* key) {
  const Owned<BIO> to{BIO_new(BIO_s_mem())};
  BERTH_CHECK(to && PEM_write_bio_PrivateKey(to.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1, "a key can be written");
  return text_of(to.get());
}

void extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension{X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str())};
  BERTH_CHECK(extension && X509_add_ext(certificate, extension.get(), -1) == 1, "an extension of ours is one that OpenSSL knows");
}

void set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  BERTH_CHECK(RAND_bytes(bytes.data(), bytes.size()) == 1, "there is chance");
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7FU) | 0x40U);  // positive, and of full length
  const std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> number{BN_bin2bn(bytes.data(), bytes.size(), nullptr), BN_free};
  BERTH_CHECK(number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr, "there is memory");
}

std::time_t seconds_of(WallTime time) {
  return static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(time.since_epoch).count());
}

// A certificate of this key without extensions and signature.
Owned<X509> blank(EVP_PKEY* key, const std::string& name, const Validity& validity) {
  Owned<X509> out{X509_new()};
  BERTH_CHECK(out, "there is memory");
  X509_set_version(out.get(), X509_VERSION_3);
  set_serial(out.get());
  ASN1_TIME_set(X509_getm_notBefore(out.get()), seconds_of(validity.from));
  ASN1_TIME_set(X509_getm_notAfter(out.get()), seconds_of(validity.until));
  X509_set_pubkey(out.get(), key);
  // At most 64 characters; nothing compares it but the names of issuer and authority.
  const std::string shown = name.substr(0, 64);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(out.get()), "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(shown.data()),
                             static_cast<int>(shown.size()), -1, 0);
  return out;
}

void sign(X509* certificate, EVP_PKEY* key) { BERTH_CHECK(X509_sign(certificate, key, EVP_sha256()) != 0, "a key of ours signs"); }

}  // namespace

CertificateAndKey make_authority(const Validity& validity) {
  const Owned<EVP_PKEY> key{EVP_EC_gen("P-256")};
  BERTH_CHECK(key, "OpenSSL has the curve");
  const Owned<X509> out = blank(key.get(), "Berth admission", validity);
  X509_set_issuer_name(out.get(), X509_get_subject_name(out.get()));
  extend(out.get(), out.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  extend(out.get(), out.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(out.get(), out.get(), NID_subject_key_identifier, "hash");
  sign(out.get(), key.get());
  return {to_pem(out.get()), to_pem(key.get())};
}

CertificateAndKey issue(const CertificateAndKey& authority, const std::vector<std::string>& names, const Validity& validity) {
  const auto authorities = read_certificates(authority.certificate);
  const Owned<EVP_PKEY> authority_key = read_key(authority.key);
  BERTH_CHECK(!authorities.empty() && authority_key && !names.empty(), "somebody signs for somebody");
  X509* const by = authorities.back().get();
  const Owned<EVP_PKEY> key{EVP_EC_gen("P-256")};
  BERTH_CHECK(key, "OpenSSL has the curve");
  const Owned<X509> out = blank(key.get(), names.front(), validity);
  X509_set_issuer_name(out.get(), X509_get_subject_name(by));
  std::string alternatives;
  for (const std::string& name : names)
    alternatives += (alternatives.empty() ? "" : ",") + std::string{IpAddress::parse(name) ? "IP:" : "DNS:"} + name;
  extend(out.get(), by, NID_basic_constraints, "critical,CA:FALSE");
  extend(out.get(), by, NID_key_usage, "critical,digitalSignature");
  extend(out.get(), by, NID_ext_key_usage, "serverAuth");
  extend(out.get(), by, NID_authority_key_identifier, "keyid");
  extend(out.get(), by, NID_subject_alt_name, alternatives);
  sign(out.get(), authority_key.get());
  return {to_pem(out.get()), to_pem(key.get())};
}

CertificateFacts examine(const CertificateSet& set, const std::vector<std::string>& names) {
  CertificateFacts out;
  const auto authorities = read_certificates(set.authorities);
  for (const auto& authority : authorities) out.authorities.push_back(validity_of(authority.get()));
  out.can_sign = !authorities.empty() && matches(authorities.back().get(), read_key(set.authority_key).get());
  const auto served = read_certificates(set.certificate);
  if (served.empty() || !matches(served.front().get(), read_key(set.key).get()) || !is_for(served.front().get(), names)) return out;
  for (std::size_t i = authorities.size(); i-- > 0;)
    if (signed_by(served.front().get(), authorities[i].get())) {
      out.serving = CertificateFacts::Serving{validity_of(served.front().get()), i};
      break;
    }
  return out;
}

CertificatesDue certificates_due(const CertificateFacts& facts, WallTime now, std::optional<Duration> published) {
  CertificatesDue due;
  const auto age = [&](const Validity& v) { return now.since_epoch - v.from.since_epoch; };
  const auto life = [](const Validity& v) { return v.until.since_epoch - v.from.since_epoch; };
  const auto holds = [&](const Validity& v) { return v.from <= now && now < v.until; };

  // Nine years of ten: what it signs in its last year would end with it or before.
  due.authority = !facts.can_sign || !holds(facts.authorities.back()) ||
                  age(facts.authorities.back()) >= life(facts.authorities.back()) / 10 * 9;

  const bool served = facts.serving && holds(facts.serving->validity) && holds(facts.authorities[facts.serving->authority]);
  if (!served) {
    due.serving = due.urgent = true;
  } else if (facts.serving->authority + 1 < facts.authorities.size()) {
    due.serving = facts.can_sign && published && *published >= trusted_after;
  } else {
    due.serving = facts.can_sign && !due.authority && age(facts.serving->validity) >= life(facts.serving->validity) / 3 * 2;
  }

  const bool others_needed = !served || facts.serving->authority + 1 < facts.authorities.size() ||
                             age(facts.serving->validity) < trusted_on;
  due.forget = facts.authorities.size() > 1 && !others_needed && !due.authority && !due.serving;
  return due;
}

CertificateSet renewed(const CertificateSet& set, const CertificatesDue& due, const std::vector<std::string>& names, WallTime now) {
  CertificateSet out = set;
  const auto validity = [&](auto time) { return Validity{{now.since_epoch - earlier}, {now.since_epoch + time}}; };
  auto authorities = read_certificates(set.authorities);
  if (due.authority) {
    const CertificateAndKey made = make_authority(validity(authority_life));
    std::erase_if(authorities, [&](const Owned<X509>& old) { return validity_of(old.get()).until <= now; });
    if (authorities.size() >= max_authorities) authorities.erase(authorities.begin());
    out.authorities.clear();
    for (const auto& old : authorities) out.authorities += to_pem(old.get());
    out.authorities += made.certificate;
    out.authority_key = made.key;
  } else if (due.forget) {
    out.authorities = to_pem(authorities.back().get());
  }
  if (due.serving) {
    const auto signers = read_certificates(out.authorities);
    CertificateAndKey made = issue({to_pem(signers.back().get()), out.authority_key}, names, validity(serving_life));
    out.certificate = std::move(made.certificate);
    out.key = std::move(made.key);
  }
  return out;
}

std::string trust_bundle(const CertificateSet& set) {
  std::string out;
  for (const auto& authority : read_certificates(set.authorities)) out += to_pem(authority.get());
  return out;
}

}  // namespace berth::kube
