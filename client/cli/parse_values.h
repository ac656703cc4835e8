// Command-line values that are more than a number or a word. Every error is INVALID_ARGUMENT and
// begins with the flag.
#ifndef ATTN_CLIENT_CLI_PARSE_VALUES_H_
#define ATTN_CLIENT_CLI_PARSE_VALUES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/load/tensor_spec.h"
#include "kernels/core/dtype.h"
#include "kernels/core/options.h"

namespace attn::cli {

// `0,40,55`
absl::StatusOr<std::vector<int64_t>> ParseIntegers(absl::string_view flag, absl::string_view text);

// `1x8x128x64`: dimensions of at least 1.
absl::StatusOr<std::vector<int64_t>> ParseShape(absl::string_view flag, absl::string_view text);

// `30s`, `500ms`, `2m`, `1.5h`; positive and finite.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view flag, absl::string_view text);

// `ids=1x4096:int32:0..3:ascending`: a name, a shape, a dtype and, as random data needs them, the
// range of its elements and that they ascend along the last axis.
absl::StatusOr<load::TensorSpec> ParseTensor(absl::string_view flag, absl::string_view text);

absl::StatusOr<DType> ParseDType(absl::string_view flag, absl::string_view text);

// `KEY=VALUE` each, the value in the text form of options; a key given twice is an error.
absl::StatusOr<OptionMap> ParseOptions(absl::string_view flag,
                                       const std::vector<std::string>& texts);

// An option of the command line whose value is a duration; `store` is called with it.
CLI::Option* AddDurationOption(CLI::App& app, const std::string& flag,
                               std::function<void(absl::Duration)> store,
                               const std::string& description);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_PARSE_VALUES_H_
