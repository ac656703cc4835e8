// A call as an entry of a workload, for `attn call --record`.
#ifndef ATTN_CLIENT_CLI_RECORDED_CALL_H_
#define ATTN_CLIENT_CLI_RECORDED_CALL_H_

#include "absl/status/statusor.h"
#include "client/cli/prepared_call.h"
#include "client/load/workload.h"

namespace attn::cli {

// Everything but the tensors' data. Of those that the call names (masks, ids, biases, weights) the
// range of their finite values is kept and, of integers, that they ascend along the last axis, so
// that random data means something alike; q, k, v and replicated tokens become normal.
absl::StatusOr<load::Entry> RecordedEntry(const PreparedCall& call);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_RECORDED_CALL_H_
