// What a golden case does to scores, inputs and output, in the words of the contract.
#ifndef ATTN_CLIENT_CLI_CASE_FIELDS_H_
#define ATTN_CLIENT_CLI_CASE_FIELDS_H_

#include "absl/status/status.h"
#include "client/cli/case_options.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

// Drops the options that ask for nothing: those of every method whose value is false, 0 or "none".
void DropNeutralOptions(CaseOptions* options);

// Takes scale, softcap, bias, ALiBi slopes and sinks out of `options`.
absl::Status TakeModifiers(CaseOptions* options, attention::v1::AttendRequest* request);

// Takes rotary embedding, replicated tokens, trimming, skipped scores and the gate out of it.
absl::Status TakeStages(CaseOptions* options, attention::v1::AttendRequest* request);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_FIELDS_H_
