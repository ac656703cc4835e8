// Flags that describe tensors without their data, for `attn explain` and `attn load`.
#ifndef ATTN_CLIENT_CLI_SHAPE_FLAGS_H_
#define ATTN_CLIENT_CLI_SHAPE_FLAGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "client/cli/layout_flags.h"
#include "client/load/tensor_spec.h"

namespace attn::cli {

struct ShapeFlags {
  std::string shape;  // BxHxSxD, whatever the pattern.
  int64_t key_len = 0;
  int64_t value_dim = 0;
  std::string q_shape;  // As the tensor lies, in its pattern; all three or none.
  std::string k_shape;
  std::string v_shape;
  std::string dtype = "bf16";
  std::vector<std::string> named;  // NAME=SHAPE:DTYPE[:MIN..MAX[:ascending]]

  bool empty() const { return shape.empty() && q_shape.empty(); }
};

// `flags` outlives `command`.
void AddShapeFlags(CLI::App& command, ShapeFlags& flags);

// q, k, v and the named ones, of which the replicated tokens of `request` lie as q, k and v do. Of
// packed sequences the default pattern is `t h d`. INVALID_ARGUMENT names the flag.
absl::StatusOr<std::vector<load::TensorSpec>> MakeTensorSpecs(
    const ShapeFlags& flags, const LayoutFlags& layout,
    const attention::v1::AttendRequest& request);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_SHAPE_FLAGS_H_
