#include "client/cli/command.h"

#include "client/cli/report.h"

namespace attn::cli {

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
  PrintHint(status);
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
