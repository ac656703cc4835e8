// The PEM files of TLS: read whole and held against each other, so that a mistake is found by us,
// with its cure, and not by the first client.
#ifndef ATTN_SERVER_SERVICES_TLS_FILES_H_
#define ATTN_SERVER_SERVICES_TLS_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attn {

// Paths. All empty = no TLS.
struct TlsFiles {
  std::string certificate;  // Chain of the server, its own first.
  std::string key;          // Without a passphrase.
  std::string client_ca;    // Not empty: clients must show a certificate that it signed.

  bool empty() const { return certificate.empty() && key.empty() && client_ca.empty(); }
};

// What they hold, as PEM text.
struct TlsMaterial {
  std::string certificate;
  std::string key;
  std::string client_ca;
};

// FAILED_PRECONDITION for a file that is missing, unreadable, no PEM, out of date or not the
// partner of the other: names the key of the configuration, the file and the cure.
// Every such mistake, one a line. INVALID_ARGUMENT where a key of the configuration is missing.
absl::StatusOr<TlsMaterial> ReadTlsFiles(const TlsFiles& files);

// The same of those that are given, whichever they are; OK for no TLS at all.
absl::Status CheckTlsFiles(const TlsFiles& files);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_TLS_FILES_H_
