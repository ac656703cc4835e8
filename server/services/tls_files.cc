#include "server/services/tls_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"
#include "server/transport/pem_files.h"

namespace attn {

absl::StatusOr<TlsMaterial> ReadTlsFiles(const TlsFiles& files) {
  const PemFile certificate{"tls_certificate", files.certificate};
  const PemFile key{"tls_key", files.key};
  for (const PemFile* file : {&certificate, &key}) {
    if (file->path.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file->setting, ": not given; TLS needs both tls_certificate and tls_key"));
    }
  }
  TlsMaterial material;
  ATTN_ASSIGN_OR_RETURN(PemKeyPair pair, ReadKeyPair(certificate, key));
  material.certificate = std::move(pair.certificate);
  material.key = std::move(pair.key);
  if (!files.client_ca.empty()) {
    ATTN_ASSIGN_OR_RETURN(material.client_ca, ReadAuthorities({"tls_client_ca", files.client_ca}));
  }
  return material;
}

absl::Status CheckTlsFiles(const TlsFiles& files) {
  if (files.empty()) return absl::OkStatus();
  return ReadTlsFiles(files).status();
}

}  // namespace attn
