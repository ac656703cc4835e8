// The tensors of a workload's entry as JSON, both ways.
#ifndef ATTN_CLIENT_LOAD_ENTRY_TENSORS_JSON_H_
#define ATTN_CLIENT_LOAD_ENTRY_TENSORS_JSON_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/object_reader.h"
#include "client/load/ordered_json.h"
#include "client/load/tensor_spec.h"

namespace attn::load {

// A float dtype; false where the key is absent or the value wrong.
bool ReadFloatDType(ObjectReader& reader, const char* key, DType* to);

// q, k and v of the entry that `entry` reads: by `shape`, or each by its own.
absl::StatusOr<std::vector<TensorSpec>> ReadOperands(ObjectReader& entry, bool packed);

// Adds the tensors of its key `tensors`.
absl::Status ReadNamedTensors(ObjectReader& entry, std::vector<TensorSpec>* to);

// The keys of both.
void PutTensors(const std::vector<TensorSpec>& tensors, OrderedJson* to);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_ENTRY_TENSORS_JSON_H_
