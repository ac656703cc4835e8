// Flags that say what happens to q, k and v before attention, and to its output after it.
#ifndef ATTN_CLIENT_CLI_STAGE_FLAGS_H_
#define ATTN_CLIENT_CLI_STAGE_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

// Texts beside forms and modes name tensors.
struct StageFlags {
  std::string rotary;  // interleaved, neox, full
  std::string cos = "cos";
  std::string sin = "sin";
  std::optional<int64_t> rotary_q_offset;
  std::optional<int64_t> rotary_k_offset;
  std::string replicated;  // Q,K,V; `true` = the names that its help says.
  std::optional<int64_t> original_seq_len;
  std::string skip_scores;  // none, value, gated_value
  std::string sample_weights;
  std::string gate;
  std::string gate_form;  // linear, sigmoid, twice_sigmoid
};

// `flags` outlives `command`.
void AddStageFlags(CLI::App& command, StageFlags& flags);

// Sets what was given and leaves the rest of `request` alone.
absl::Status Apply(const StageFlags& flags, attention::v1::AttendRequest* request);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_STAGE_FLAGS_H_
