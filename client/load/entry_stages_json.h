// What a workload's entry does to scores, inputs and output, as JSON, both ways.
#ifndef ATTN_CLIENT_LOAD_ENTRY_STAGES_JSON_H_
#define ATTN_CLIENT_LOAD_ENTRY_STAGES_JSON_H_

#include "absl/status/status.h"
#include "client/load/object_reader.h"
#include "client/load/ordered_json.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::load {

// `modifiers`, `rotary`, `replicated`, `original_seq_len`, `skip_scores` and `gate` of the entry
// that `entry` reads; a wrong number there is left for its Finish.
absl::Status ReadStages(ObjectReader& entry, attention::v1::AttendRequest* request);

// The same keys.
void PutStages(const attention::v1::AttendRequest& request, OrderedJson* to);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_ENTRY_STAGES_JSON_H_
