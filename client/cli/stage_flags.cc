#include "client/cli/stage_flags.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/load/stage_names.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

// What CLI11 stores for a flag that is given without a value.
constexpr char kGiven[] = "true";
constexpr char kReplicatedNames[] = "replicated_q,replicated_k,replicated_v";

void AddRotaryFlags(CLI::Option_group& group, StageFlags& flags) {
  CLI::Option* rotary =
      group
          .add_option("--rotary", flags.rotary,
                      "Rotates q and k: pairs interleaved, neox (i, i + D/2), or full (a column of "
                      "cos and sin for each element)")
          ->check(CLI::IsMember(load::NamesOf(load::kRotaryForms)));
  group.add_option("--cos", flags.cos, "Tensor of cosines; row x is position x")
      ->type_name("TENSOR")
      ->capture_default_str()
      ->needs(rotary);
  group.add_option("--sin", flags.sin, "Tensor of sines")
      ->type_name("TENSOR")
      ->capture_default_str()
      ->needs(rotary);
  group.add_option("--rotary_q_offset", flags.rotary_q_offset, "Position of the first query")
      ->needs(rotary);
  group.add_option("--rotary_k_offset", flags.rotary_k_offset, "Position of the first key")
      ->needs(rotary);
}

void AddOutputStageFlags(CLI::Option_group& group, StageFlags& flags) {
  CLI::Option* skip =
      group
          .add_option(
              "--skip_scores", flags.skip_scores,
              "Returns v (value), or v times the gate (gated_value), instead of attention (none)")
          ->check(CLI::IsMember(load::NamesOf(load::kSkipModes)));
  group
      .add_option("--sample_weights", flags.sample_weights,
                  "Tensor of a weight in [0, 1] for each sample: 0 = what --skip_scores says, 1 = "
                  "attention")
      ->type_name("TENSOR")
      ->needs(skip);
  CLI::Option* gate = group
                          .add_option("--gate", flags.gate,
                                      "Tensor of a factor on the output: batch x queries x heads")
                          ->type_name("TENSOR");
  CLI::Option* form =
      group.add_option("--gate_form", flags.gate_form, "What of the gate is the factor")
          ->check(CLI::IsMember(load::NamesOf(load::kGateForms)))
          ->needs(gate);
  gate->needs(form);
}

absl::Status SetReplicated(const std::string& text, attention::v1::ReplicatedTokens* to) {
  const std::vector<std::string> names =
      absl::StrSplit(text == kGiven ? kReplicatedNames : text, ',');
  if (names.size() != 3 || std::find(names.begin(), names.end(), "") != names.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--replicated: ", Quoted(text), "; allowed: nothing, or =Q,K,V"));
  }
  to->set_q(names[0]);
  to->set_k(names[1]);
  to->set_v(names[2]);
  return absl::OkStatus();
}

}  // namespace

void AddStageFlags(CLI::App& command, StageFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Stages");
  AddRotaryFlags(group, flags);
  group.add_flag("--replicated", flags.replicated,
                 absl::StrCat("Tokens behind the others, answered apart; =Q,K,V names their "
                              "tensors, default: ",
                              kReplicatedNames));
  group.add_option("--original_seq_len", flags.original_seq_len,
                   "Tokens of q, k and v from this one on are padding");
  AddOutputStageFlags(group, flags);
}

absl::Status Apply(const StageFlags& flags, attention::v1::AttendRequest* request) {
  if (!flags.rotary.empty()) {
    attention::v1::Rotary& rotary = *request->mutable_rotary();
    rotary.set_form(*load::ValueOf(load::kRotaryForms, flags.rotary));
    rotary.set_cos(flags.cos);
    rotary.set_sin(flags.sin);
    if (flags.rotary_q_offset.has_value()) rotary.set_q_offset(*flags.rotary_q_offset);
    if (flags.rotary_k_offset.has_value()) rotary.set_k_offset(*flags.rotary_k_offset);
  }
  if (!flags.replicated.empty()) {
    ATTN_RETURN_IF_ERROR(SetReplicated(flags.replicated, request->mutable_replicated()));
  }
  if (flags.original_seq_len.has_value()) {
    request->set_original_seq_len(*flags.original_seq_len);
  }
  if (!flags.skip_scores.empty()) {
    attention::v1::SkipScores& skip = *request->mutable_skip_scores();
    skip.set_mode(*load::ValueOf(load::kSkipModes, flags.skip_scores));
    if (!flags.sample_weights.empty()) skip.set_sample_weights(flags.sample_weights);
  }
  if (!flags.gate.empty()) {
    request->mutable_gate()->set_tensor(flags.gate);
    request->mutable_gate()->set_form(*load::ValueOf(load::kGateForms, flags.gate_form));
  }
  return absl::OkStatus();
}

}  // namespace attn::cli
