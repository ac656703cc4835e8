#include "client/cli/output_flags.h"

#include "client/cli/parse_values.h"
#include "kernels/core/status_macros.h"
#include "server/transport/proto_conversion.h"

namespace attn::cli {

void AddOutputFlags(CLI::App& command, OutputFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Outputs");
  group.add_option("--out_pattern", flags.out_pattern, "Pattern of out; default: that of q")
      ->type_name("PATTERN");
  group.add_option("--out_dtype", flags.out_dtype, "fp32, fp16 or bf16; default: that of q")
      ->type_name("DTYPE");
  group.add_flag("--lse", flags.lse, "Also the log-sum-exp of every row");
  group.add_flag("--weights", flags.weights,
                 "Also the softmax probabilities, which few backends return (eager does)");
  CLI::Option* plan =
      group.add_flag("--plan", flags.plan, "Also the plan: which key blocks each query block saw");
  group.add_option("--plan_block_q", flags.plan_block_q, "Queries in a block of the plan")
      ->needs(plan);
  group.add_option("--plan_block_k", flags.plan_block_k, "Keys in a block of the plan")
      ->needs(plan);
}

absl::Status Apply(const OutputFlags& flags, attention::v1::AttendRequest* request) {
  attention::v1::Outputs& outputs = *request->mutable_outputs();
  if (!flags.out_pattern.empty()) outputs.set_out_pattern(flags.out_pattern);
  if (!flags.out_dtype.empty()) {
    ATTN_ASSIGN_OR_RETURN(const DType dtype, ParseDType("--out_dtype", flags.out_dtype));
    outputs.set_out_dtype(ToProto(dtype));
  }
  if (flags.lse) outputs.set_lse(true);
  if (flags.weights) outputs.set_weights(true);
  if (flags.plan) outputs.set_plan(true);
  if (flags.plan_block_q.has_value()) outputs.set_plan_block_q(*flags.plan_block_q);
  if (flags.plan_block_k.has_value()) outputs.set_plan_block_k(*flags.plan_block_k);
  return absl::OkStatus();
}

}  // namespace attn::cli
