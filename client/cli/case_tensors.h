// The tensors of a golden case that travel with its call.
#ifndef ATTN_CLIENT_CLI_CASE_TENSORS_H_
#define ATTN_CLIENT_CLI_CASE_TENSORS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/attention_client.h"
#include "client/golden/golden_case.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/dtype.h"

namespace attn::cli {

// How q, k and v lie, in this order; replicated tokens lie alike.
struct CaseLayout {
  std::array<std::string, 3> patterns;
  int64_t heads = 0;  // 0 = not given.
  int64_t kv_heads = 0;
};

struct CaseTensors {
  std::vector<ClientTensor> tensors;  // They borrow the case's memory, or `converted`.
  std::vector<AlignedBuffer> converted;
};

// q, k, v and what `request` names, each once. `not_sent`: inputs of the case that this call does
// without. INVALID_ARGUMENT for another input that nothing names, or a name that is no input.
absl::StatusOr<CaseTensors> TakeTensors(const GoldenCase& golden_case, const std::string& prefix,
                                        const attention::v1::AttendRequest& request,
                                        const CaseLayout& layout,
                                        const std::vector<std::string>& not_sent,
                                        std::optional<DType> dtype);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_CASE_TENSORS_H_
