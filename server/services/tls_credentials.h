// TLS of the server's TCP listeners, from files that may be replaced while it runs.
#ifndef ATTN_SERVER_SERVICES_TLS_CREDENTIALS_H_
#define ATTN_SERVER_SERVICES_TLS_CREDENTIALS_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/security/server_credentials.h"
#include "server/services/tls_files.h"

namespace attn {

// For one listener; outlives its server. The files are looked at before every handshake and read
// again when one of them has changed, so that a new certificate serves the next connection; open
// connections keep theirs. What cannot be used (ReadTlsFiles) leaves the old in use. `reloaded` is
// told of either, before gRPC sees the new; it may be empty and is called from any thread.
//
// gRPC's own FileWatcherCertificateProvider would be simpler, but 1.51 forgets the old certificate
// when the new one and its key do not match, and then refuses every client.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> CreateTlsCredentials(
    const TlsFiles& files, std::function<void(const absl::Status&)> reloaded);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_TLS_CREDENTIALS_H_
