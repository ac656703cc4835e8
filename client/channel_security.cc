#include "client/channel_security.h"

#include "absl/strings/str_cat.h"
#include "client/setting.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/transport/pem_files.h"
#include "server/transport/token_file.h"

namespace attn {
namespace {

PemFile ToPemFile(const Setting& setting) { return {setting.source, setting.value}; }

absl::StatusOr<bool> IsOn(const ClientTls& tls) {
  const Setting setting = ReadSetting("tls", tls.enabled ? "1" : "", "ATTN_TLS", "0");
  if (setting.value == "1" || setting.value == "true") return true;
  if (setting.value == "0" || setting.value == "false") return false;
  return absl::InvalidArgumentError(
      absl::StrCat(setting.source, ": ", Quoted(setting.value), "; allowed: 1, true, 0, false"));
}

}  // namespace

absl::StatusOr<ChannelSecurity> ReadChannelSecurity(const ClientTls& tls) {
  const Setting ca = ReadSetting("tls_ca", tls.ca, "ATTN_TLS_CA");
  const Setting certificate =
      ReadSetting("tls_certificate", tls.certificate, "ATTN_TLS_CLIENT_CERTIFICATE");
  const Setting key = ReadSetting("tls_key", tls.key, "ATTN_TLS_CLIENT_KEY");
  const Setting server_name =
      ReadSetting("tls_server_name", tls.server_name, "ATTN_TLS_SERVER_NAME");
  ATTN_ASSIGN_OR_RETURN(bool on, IsOn(tls));
  for (const Setting* setting : {&ca, &certificate, &key, &server_name}) {
    on = on || !setting->value.empty();
  }
  if (!on) return ChannelSecurity{grpc::InsecureChannelCredentials(), ""};

  grpc::SslCredentialsOptions ssl;
  if (!ca.value.empty()) {
    ATTN_ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadAuthorities(ToPemFile(ca)));
  }
  if (certificate.value.empty() != key.value.empty()) {
    const Setting& missing = certificate.value.empty() ? certificate : key;
    return absl::InvalidArgumentError(absl::StrCat(
        missing.source, ": not given; a client shows a certificate with its key, or neither"));
  }
  if (!certificate.value.empty()) {
    ATTN_ASSIGN_OR_RETURN(const PemKeyPair pair,
                          ReadKeyPair(ToPemFile(certificate), ToPemFile(key)));
    ssl.pem_cert_chain = pair.certificate;
    ssl.pem_private_key = pair.key;
  }
  return ChannelSecurity{grpc::SslCredentials(ssl), server_name.value};
}

absl::StatusOr<std::string> ReadAdminToken(const std::string& token) {
  const Setting file = ReadSetting("", "", "ATTN_TOKEN_FILE");
  if (token.empty() && !file.value.empty()) return ReadTokenFile(file.source, file.value);
  ATTN_RETURN_IF_ERROR(CheckToken("admin_token", token));
  return token;
}

}  // namespace attn
