// What `attn call` sends: the calls of a file, completed by the command line or by the file's case.
#ifndef ATTN_CLIENT_CLI_PREPARED_CALL_H_
#define ATTN_CLIENT_CLI_PREPARED_CALL_H_

#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "client/attention_client.h"
#include "client/cli/layout_flags.h"
#include "client/cli/mask_flags.h"
#include "client/cli/metadata_flags.h"
#include "client/cli/modifier_flags.h"
#include "client/cli/output_flags.h"
#include "client/cli/selection_flags.h"
#include "client/cli/stage_flags.h"
#include "client/golden/safetensors.h"
#include "kernels/core/aligned_buffer.h"

namespace attn::cli {

// Everything of the command line that steers a call.
struct RequestFlags {
  SelectionFlags selection;
  MaskFlags mask;
  ModifierFlags modifiers;
  StageFlags stages;
  MetadataFlags metadata;
  OutputFlags outputs;
  LayoutFlags layout;
};

// `flags` outlives `command`.
void AddRequestFlags(CLI::App& command, RequestFlags& flags);

// Sets what was given (the layout belongs to the tensors) and leaves the rest of `request` alone.
absl::Status Apply(const RequestFlags& flags, attention::v1::AttendRequest* request);

// An answer that the file holds for an output.
struct ExpectedOutput {
  std::string output;
  FileTensor tensor;
};

struct PreparedCall {
  std::string name;    // layers.0; of a file with one call the file's name
  std::string prefix;  // layers.0.
  AttendArguments arguments;
  std::vector<ExpectedOutput> expected;  // Of a case only.
  std::vector<AlignedBuffer> owned;      // Behind tensors whose dtype was changed.
};

// The calls of one file, whose memory they borrow. Movable.
struct PreparedCalls {
  SafetensorsFile file;
  std::vector<PreparedCall> calls;
};

// Nothing of the file but its tensors counts. `dtype`: q, k, v and replicated
// tokens are widened to it.
absl::StatusOr<PreparedCalls> PrepareCalls(const std::string& path, const RequestFlags& flags,
                                           std::optional<DType> dtype);

// The case in the file's metadata steers the calls; what the command line says wins over it.
absl::StatusOr<PreparedCalls> PrepareCase(const std::string& path, const RequestFlags& flags,
                                          std::optional<DType> dtype);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_PREPARED_CALL_H_
