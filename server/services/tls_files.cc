#include "server/services/tls_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/transport/pem_files.h"

namespace attn {
namespace {

// Both with their mistakes, one a line.
absl::Status Both(const absl::Status& one, const absl::Status& other) {
  if (one.ok() || other.ok()) return one.ok() ? other : one;
  return absl::Status(one.code(), absl::StrCat(one.message(), "\n", other.message()));
}

// Of what is given. The material is whole where all is well.
absl::StatusOr<TlsMaterial> ReadGiven(const TlsFiles& files) {
  const PemFile certificate{"tls_certificate", files.certificate};
  const PemFile key{"tls_key", files.key};
  TlsMaterial material;
  absl::Status status;
  if (!files.certificate.empty() && !files.key.empty()) {
    absl::StatusOr<PemKeyPair> pair = ReadKeyPair(certificate, key);
    status = pair.status();
    if (pair.ok()) {
      material.certificate = std::move(pair->certificate);
      material.key = std::move(pair->key);
    }
  } else if (!files.certificate.empty()) {
    status = ReadChain(certificate).status();
  } else if (!files.key.empty()) {
    status = ReadKey(key).status();
  }
  if (!files.client_ca.empty()) {
    absl::StatusOr<std::string> authorities = ReadAuthorities({"tls_client_ca", files.client_ca});
    status = Both(status, authorities.status());
    if (authorities.ok()) material.client_ca = *std::move(authorities);
  }
  if (!status.ok()) return status;
  return material;
}

}  // namespace

absl::StatusOr<TlsMaterial> ReadTlsFiles(const TlsFiles& files) {
  if (files.certificate.empty() || files.key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.certificate.empty() ? "tls_certificate" : "tls_key",
                     ": not given; TLS needs both tls_certificate and tls_key"));
  }
  return ReadGiven(files);
}

absl::Status CheckTlsFiles(const TlsFiles& files) { return ReadGiven(files).status(); }

}  // namespace attn
