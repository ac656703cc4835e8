// Requests for ParseCall, as text and by the shapes of their tensors; no payloads.
#ifndef ATTN_TESTS_SERVER_SERVICES_PARSED_REQUEST_H_
#define ATTN_TESTS_SERVER_SERVICES_PARSED_REQUEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/attention/v1/attention.pb.h"
#include "server/services/parsed_call.h"

namespace attn {

inline constexpr attention::v1::DataType kFp32 = attention::v1::DATA_TYPE_FP32;
inline constexpr attention::v1::DataType kInt32 = attention::v1::DATA_TYPE_INT32;

struct TensorText {
  std::string name;
  attention::v1::DataType dtype = kFp32;
  std::vector<int64_t> shape;
  std::string pattern;
  int64_t heads = 0;
};

// q [2, 4, 5, 8], k [2, 2, 5, 8] and v [2, 2, 5, 6] of fp32.
std::vector<TensorText> PaddedTokens();
// The same of 10 packed tokens: q [10, 4, 8], k [10, 2, 8], v [10, 2, 6].
std::vector<TensorText> PackedTokens();

// `fields` is the text form of an AttendRequest. The only mask function is `stripes`, which takes
// one argument and no tensors.
absl::StatusOr<ParsedCall> ParseText(const std::string& fields, std::vector<TensorText> tensors,
                                     const std::vector<TensorText>& more = {});

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_SERVICES_PARSED_REQUEST_H_
