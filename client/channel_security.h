// What a client needs to know to trust a server and to be trusted: TLS and the admin token.
#ifndef ATTN_CLIENT_CHANNEL_SECURITY_H_
#define ATTN_CLIENT_CHANNEL_SECURITY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/attention_client.h"
#include "grpcpp/security/credentials.h"

namespace attn {

struct ChannelSecurity {
  std::shared_ptr<grpc::ChannelCredentials> tcp;  // Never null. Unix sockets go without TLS.
  std::string server_name;                        // Empty = the host of the server's address.
};

// Reads options, variables and files. INVALID_ARGUMENT or FAILED_PRECONDITION name the setting,
// the file and the cure.
absl::StatusOr<ChannelSecurity> ReadChannelSecurity(const ClientTls& tls);

// `token`, else what the file that ATTN_TOKEN_FILE names holds; empty for none.
absl::StatusOr<std::string> ReadAdminToken(const std::string& token);

}  // namespace attn

#endif  // ATTN_CLIENT_CHANNEL_SECURITY_H_
