// PEM files of TLS, for the server and the client: read whole and looked at by us, so that a
// mistake is told with its cure before the first handshake fails.
#ifndef ATTN_SERVER_TRANSPORT_PEM_FILES_H_
#define ATTN_SERVER_TRANSPORT_PEM_FILES_H_

#include <string>

#include "absl/status/statusor.h"

namespace attn {

// A file and the setting that names it, which messages begin with.
struct PemFile {
  std::string setting;
  std::string path;
};

// PEM text.
struct PemKeyPair {
  std::string certificate;
  std::string key;
};

// Errors are FAILED_PRECONDITION: missing, unreadable, no PEM, not valid today.

// The certificates of authorities; at least one of them is valid today.
absl::StatusOr<std::string> ReadAuthorities(const PemFile& file);

// A chain, whose first certificate is valid today.
absl::StatusOr<std::string> ReadChain(const PemFile& file);

// A private key without a passphrase.
absl::StatusOr<std::string> ReadKey(const PemFile& file);

// Both, and the key is that of the first certificate. The error has the mistakes of both, one a
// line.
absl::StatusOr<PemKeyPair> ReadKeyPair(const PemFile& certificate, const PemFile& key);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_PEM_FILES_H_
