// What `attn` prints beside its tables.
#ifndef ATTN_CLIENT_CLI_REPORT_H_
#define ATTN_CLIENT_CLI_REPORT_H_

#include <string>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"

namespace attn::cli {

// Keys in the order of insertion: people read this output too.
using Json = nlohmann::ordered_json;

// Indented. Non-finite numbers become null, malformed UTF-8 is replaced.
std::string JsonText(const Json& document);

// One document on stdout.
void PrintJson(const Json& document);

// {"code": "NOT_FOUND", "message": "..."}
Json ErrorJson(const absl::Status& status);

// `attn: CODE: message` on stderr.
void PrintError(const absl::Status& status);

// `attn: hint: ...` on stderr where something can be done about an error of a server, or of the
// way to it.
void PrintHint(const absl::Status& status);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_REPORT_H_
