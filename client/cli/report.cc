#include "client/cli/report.h"

#include <iostream>
#include <string>

#include "client/attention_client.h"
#include "client/cli/printable.h"

namespace attn::cli {
namespace {

// What to do about a server's error; empty where its message says it all.
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

std::string JsonText(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

void PrintJson(const Json& document) { std::cout << JsonText(document) << std::endl; }

Json ErrorJson(const absl::Status& status) {
  return {{"code", absl::StatusCodeToString(status.code())},
          {"message", std::string(status.message())}};
}

void PrintError(const absl::Status& status) {
  std::cerr << "attn: " << absl::StatusCodeToString(status.code()) << ": "
            << Printable(status.message()) << std::endl;
}

void PrintHint(const absl::Status& status) {
  const std::string hint = Hint(status);
  if (!hint.empty()) std::cerr << "attn: hint: " << hint << std::endl;
}

}  // namespace attn::cli
