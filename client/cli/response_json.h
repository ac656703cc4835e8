// Messages of the contract as JSON, with the field names and words of the contract (but those of
// refusals, see Selection).
#ifndef ATTN_CLIENT_CLI_RESPONSE_JSON_H_
#define ATTN_CLIENT_CLI_RESPONSE_JSON_H_

#include <string>

#include "client/cli/report.h"
#include "proto/attention/v1/admin.pb.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

// `scope`, `forced`, `call`, `environment`, `preset`, `automatic`; `none` if unspecified.
std::string RuleName(attention::v1::Rule rule);

Json ToJson(const attention::v1::Selection& selection);
Json ToJson(const attention::v1::CallMetrics& metrics);
Json ToJson(const attention::v1::Backend& backend);
Json ToJson(const attention::v1::GetPolicyResponse& policy);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_RESPONSE_JSON_H_
