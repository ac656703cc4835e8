#include "client/connection_advice.h"

#include "absl/strings/match.h"

namespace attn {
namespace {

struct Advice {
  absl::string_view words;
  absl::string_view advice;
};

// The first that fits.
constexpr Advice kAdvice[] = {
    {"certificate verify failed",
     "; the server's certificate has expired or is of no authority trusted here (tls_ca)"},
    {"is not in peer certificate",
     "; the server's certificate bears another name (tls_server_name says which to expect)"},
    {"wrong version number", "; the server does not speak TLS there: call without tls"},
    {"certificate required",
     "; the server asks for a client certificate (tls_certificate, tls_key)"},
    {"alert unknown ca", "; the server does not trust this client's certificate (tls_certificate)"},
    {"Socket closed",
     "; the server closed the connection: it has stopped, or it wants TLS (tls_ca) or a client "
     "certificate that it trusts (tls_certificate)"},
    {"Connection reset by peer",
     "; the server closed the connection: it has stopped, or it wants TLS (tls_ca) or a client "
     "certificate that it trusts (tls_certificate)"},
    // ENHANCE_YOUR_CALM of HTTP/2: how gRPC's memory quota ends a call.
    {"RST_STREAM with error code 11",
     "; the server holds as many bytes of requests as it may: call again later"},
};

}  // namespace

absl::string_view ConnectionAdvice(absl::string_view grpc_message) {
  for (const Advice& known : kAdvice) {
    if (absl::StrContains(grpc_message, known.words)) return known.advice;
  }
  return "";
}

}  // namespace attn
