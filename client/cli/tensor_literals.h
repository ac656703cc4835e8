// Small tensors written on the command line: `ids=[[0,0,1,1]]`, `keep=[[true,true,false]]`.
#ifndef ATTN_CLIENT_CLI_TENSOR_LITERALS_H_
#define ATTN_CLIENT_CLI_TENSOR_LITERALS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/tensor_view.h"

namespace attn::cli {

// Truth values become uint8, integers int64, anything with a fraction or an exponent fp32.
struct TensorLiterals {
  TensorMap tensors;
  std::vector<AlignedBuffer> memory;  // Behind the views.
};

// `NAME=JSON` each, the JSON a list nested as deep as the tensor has axes; INVALID_ARGUMENT begins
// with the flag. A list of equal lists alone has a shape.
absl::StatusOr<TensorLiterals> ParseTensorLiterals(absl::string_view flag,
                                                   const std::vector<std::string>& texts);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_TENSOR_LITERALS_H_
