#include "client/cli/report.h"

#include <iostream>
#include <string>

#include "client/cli/command.h"

namespace attn::cli {
namespace {

// What to do about an error; empty where its message says it all.
std::string Hint(const absl::Status& status) {
  if (IsUnreachable(status)) {
    return "start a server with `attnd`, or name one with --server or ATTN_SERVER";
  }
  if (absl::IsUnavailable(status)) return "the server is draining; call again, or call another one";
  if (absl::IsDeadlineExceeded(status)) return "--timeout allows more time";
  if (absl::IsUnimplemented(status)) return "`attn backends` shows what each backend takes";
  return "";
}

}  // namespace

void PrintJson(const Json& document) {
  std::cout << document.dump(2, ' ', false, Json::error_handler_t::replace) << std::endl;
}

Json ErrorJson(const absl::Status& status) {
  return {{"code", absl::StatusCodeToString(status.code())},
          {"message", std::string(status.message())}};
}

void PrintError(const absl::Status& status) {
  std::cerr << "attn: " << absl::StatusCodeToString(status.code()) << ": " << status.message()
            << std::endl;
  const std::string hint = Hint(status);
  if (!hint.empty()) std::cerr << "attn: hint: " << hint << std::endl;
}

absl::StatusOr<std::unique_ptr<AttentionClient>> Context::Connect() const {
  ClientOptions options = client;
  if (timeout.has_value()) options.control_timeout = *timeout;
  return AttentionClient::Create(options);
}

CallOptions Context::call_options() const {
  CallOptions options;
  if (timeout.has_value()) options.timeout = *timeout;
  return options;
}

int Fail(const absl::Status& status) {
  PrintError(status);
  return IsUnreachable(status) ? kExitUnreachable : kExitFailed;
}

int Fail(const Context& context, const absl::Status& status) {
  if (context.json) PrintJson({{"error", ErrorJson(status)}});
  return Fail(status);
}

int FailUsage(const Context& context, const absl::Status& status) {
  if (context.json) PrintJson({{"error", ErrorJson(status)}});
  PrintError(status);
  return kExitUsage;
}

}  // namespace attn::cli
