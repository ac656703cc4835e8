#include "client/cli/connection_flags.h"

#include <memory>

#include "absl/status/status.h"
#include "client/channel_security.h"
#include "client/server_address.h"
#include "kernels/core/status_macros.h"
#include "server/transport/token_file.h"

namespace attn::cli {
namespace {

void AddAddressFlags(CLI::App& app, ClientOptions& client) {
  const auto check = [](const std::string& text) {
    return std::string(CheckServerAddress(text).message());
  };
  const CLI::Validator address(check, "", "");
  app.add_option("--server", client.server, "host:port or unix:PATH; default: localhost:8601")
      ->type_name("ADDRESS")
      ->envname("ATTN_SERVER")
      ->check(address);
  app.add_option("--admin_server", client.admin_server, "For admin calls; default: the same server")
      ->type_name("ADDRESS")
      ->envname("ATTN_ADMIN_SERVER")
      ->check(address);
}

void AddTlsFlags(CLI::App& app, ClientTls& tls) {
  app.add_flag("--tls", tls.enabled, "TLS to TCP servers, trusting the system's authorities")
      ->envname("ATTN_TLS");
  const auto add = [&app](const char* flag, std::string& to, const char* type, const char* variable,
                          const char* help) {
    app.add_option(flag, to, help)->type_name(type)->envname(variable);
  };
  add("--tls_ca", tls.ca, "FILE", "ATTN_TLS_CA", "TLS, trusting these authorities alone (PEM)");
  add("--tls_certificate", tls.certificate, "FILE", "ATTN_TLS_CLIENT_CERTIFICATE",
      "Certificate to show to a server that asks (mutual TLS, PEM)");
  add("--tls_key", tls.key, "FILE", "ATTN_TLS_CLIENT_KEY", "Its key (PEM)");
  add("--tls_server_name", tls.server_name, "NAME", "ATTN_TLS_SERVER_NAME",
      "Name that the server's certificate bears; default: the host of --server");
}

absl::Status ReadFiles(const std::string& token_file, ClientOptions& client) {
  ATTN_RETURN_IF_ERROR(ReadChannelSecurity(client.tls).status());
  if (token_file.empty()) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(client.admin_token, ReadTokenFile("token_file", token_file));
  return absl::OkStatus();
}

}  // namespace

void AddConnectionFlags(CLI::App& app, ClientOptions& client) {
  AddAddressFlags(app, client);
  AddTlsFlags(app, client.tls);
  auto token_file = std::make_shared<std::string>();
  app.add_option("--token_file", *token_file,
                 "Holds the admin token, for admin calls to a listener that asks for one")
      ->type_name("FILE")
      ->envname("ATTN_TOKEN_FILE");
  app.parse_complete_callback([token_file, &client] {
    const absl::Status read = ReadFiles(*token_file, client);
    if (!read.ok()) throw CLI::ValidationError(std::string(read.message()));
  });
}

std::map<std::string, std::string> ConnectionVariables(const ClientOptions& client) {
  std::map<std::string, std::string> variables;
  const auto add = [&variables](const char* name, const std::string& value) {
    if (!value.empty()) variables[name] = value;
  };
  add("ATTN_SERVER", client.server);
  add("ATTN_TLS", client.tls.enabled ? "1" : "");
  add("ATTN_TLS_CA", client.tls.ca);
  add("ATTN_TLS_CLIENT_CERTIFICATE", client.tls.certificate);
  add("ATTN_TLS_CLIENT_KEY", client.tls.key);
  add("ATTN_TLS_SERVER_NAME", client.tls.server_name);
  return variables;
}

}  // namespace attn::cli
