#include "server/services/admin_guard.h"

#include <openssl/crypto.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "grpc/grpc_security_constants.h"

namespace attn {
namespace {

constexpr absl::string_view kTokenHeader = "authorization";
constexpr absl::string_view kScheme = "Bearer ";

constexpr absl::string_view kElsewhere =
    "call AdminService on a loopback listener of the server or on a Unix socket that is its "
    "owner's alone";

// gRPC puts a certificate there only after it has verified it.
bool HasCertificate(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  return peer != nullptr && !peer->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME).empty();
}

enum class Token : uint8_t { kNone, kWrong, kRight };

Token TokenOf(const grpc::ServerContextBase& context, const std::string& expected) {
  const auto header = context.client_metadata().find({kTokenHeader.data(), kTokenHeader.size()});
  if (header == context.client_metadata().end()) return Token::kNone;
  absl::string_view value(header->second.data(), header->second.size());
  if (!absl::StartsWithIgnoreCase(value, kScheme)) return Token::kWrong;
  value.remove_prefix(kScheme.size());
  const bool right = !expected.empty() && value.size() == expected.size() &&
                     CRYPTO_memcmp(value.data(), expected.data(), expected.size()) == 0;
  return right ? Token::kRight : Token::kWrong;
}

}  // namespace

AdminGuard::AdminGuard(AdminAccess access, bool safe_listeners, std::string token)
    : access_(access),
      open_(access == AdminAccess::kAll || (access == AdminAccess::kLocal && safe_listeners)),
      token_(std::move(token)) {}

absl::Status AdminGuard::Check(const grpc::ServerContextBase& context) const {
  if (open_) return absl::OkStatus();
  if (access_ == AdminAccess::kOff) {
    return absl::PermissionDeniedError("AdminService is off on this server (admin: off)");
  }
  if (HasCertificate(context)) return absl::OkStatus();
  switch (TokenOf(context, token_)) {
    case Token::kRight:
      return absl::OkStatus();
    case Token::kWrong:
      return absl::PermissionDeniedError(
          absl::StrCat("the admin token is not this server's (metadata 'authorization: Bearer "
                       "TOKEN'); correct it, or ",
                       kElsewhere));
    case Token::kNone:
      break;
  }
  return absl::PermissionDeniedError(
      absl::StrCat("this listener answers no admin calls without a client certificate or the admin "
                   "token (metadata 'authorization: Bearer TOKEN'); bring one, or ",
                   kElsewhere));
}

}  // namespace attn
