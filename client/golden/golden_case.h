// A golden case: inputs, options and what the original implementation answered, in one
// safetensors file whose metadata holds the JSON object `case`. Read by `attn verify` and by the
// tests of the compute library alike.
#ifndef ATTN_CLIENT_GOLDEN_GOLDEN_CASE_H_
#define ATTN_CLIENT_GOLDEN_GOLDEN_CASE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/golden/safetensors.h"
#include "kernels/core/options.h"

namespace attn {

// One comparison of a case.
struct Expectation {
  std::string output;  // out, lse, weights, plan, replicated_out
  std::string tensor;  // Of the file, prefix not yet applied.
  std::optional<double> rel_l2;
  std::optional<double> max_abs;
  bool exact = false;
  OptionMap with;               // Options changed for this comparison: a run of its own.
  std::optional<int64_t> rows;  // Only the first rows along the sequence count.
};

struct GoldenCase {
  std::string path;
  std::string name;
  std::string area;
  std::string kind;     // call, mask, engine, data
  std::string backend;  // Canonical, or `dense`
  // JSON null is absent. A string that names a tensor of the file (with or without a prefix)
  // becomes a TensorName; an object (mask_expr) is kept as its JSON text.
  OptionMap options;
  std::vector<std::string> inputs;
  std::vector<Expectation> expected;
  std::vector<std::string> prefixes;  // {""} if the case holds one call.
  std::string run_dtype;              // Empty = widened and as stored.
  std::string layout;                 // Of q, k, v and out; options may override each.
  SafetensorsFile file;

  // The tensor `prefix + tensor`, or the shared `tensor`; nullptr if neither is there.
  const FileTensor* Find(const std::string& prefix, const std::string& tensor) const;
};

// NOT_FOUND, or INVALID_ARGUMENT naming the key that is missing, unknown or of a wrong type: a
// case is never run with part of it ignored.
absl::StatusOr<GoldenCase> ReadGoldenCase(const std::string& path);

}  // namespace attn

#endif  // ATTN_CLIENT_GOLDEN_GOLDEN_CASE_H_
