// The calls that a safetensors file holds: `q`, `k` and `v`, or `layers.0.q`, `layers.0.k` ... for
// any prefix that ends in a dot.
#ifndef ATTN_CLIENT_CLI_CALL_FILE_H_
#define ATTN_CLIENT_CLI_CALL_FILE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/attention_client.h"
#include "client/cli/layout_flags.h"
#include "client/golden/safetensors.h"
#include "kernels/core/aligned_buffer.h"

namespace attn::cli {

// The prefixes that have a `q`, `k` and `v`, numbers in them in numerical order. INVALID_ARGUMENT
// if there is none, or one lacks a `k` or `v`.
absl::StatusOr<std::vector<std::string>> FindCalls(const SafetensorsFile& file);

// The tensors of one call. They borrow the file's memory, or `widened` where a dtype was asked for.
struct CallTensors {
  std::vector<ClientTensor> tensors;
  std::vector<AlignedBuffer> widened;
};

// q, k, v and the tensors that `request` names (with the prefix, or shared by all calls).
// Replicated tokens lie as q, k and v do. `dtype`: those six are widened to it (fp32); nullopt = as
// stored.
absl::StatusOr<CallTensors> ReadCallTensors(const SafetensorsFile& file, const std::string& prefix,
                                            const attention::v1::AttendRequest& request,
                                            const LayoutFlags& layout, std::optional<DType> dtype);

// a9 before a10.
bool NaturalLess(absl::string_view a, absl::string_view b);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CALL_FILE_H_
