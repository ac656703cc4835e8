// `attn call` and what is done to scores, inputs and output.
#include <filesystem>
#include <fstream>

#include "client/load/workload.h"
#include "gmock/gmock.h"
#include "tests/client/cli/call_command.h"

namespace attn::cli {
namespace {

using attention::v1::AttendRequest;
using attention::v1::AttendResponse;
using testing::HasSubstr;

using CallFields = CallCommand;

TEST_F(CallFields, SendsTheTensorsThatFlagsName) {
  AttendRequest received;
  service_.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                        AttendResponse* response) {
    received = request;
    return EchoQuery(context, request, response);
  };
  const std::string file = WriteFile(
      {"", "mask_", "bias_", "slopes_", "sinks_", "cos_", "sin_", "replicated_", "w_", "gate_"});
  const AttnOutput output = Call({file,
                                  "--mask_expr",
                                  R"({"op": "packed", "ids": "mask_q"})",
                                  "--q_offset=-4",
                                  "--kv_offset",
                                  "7",
                                  "--softcap",
                                  "30",
                                  "--bias",
                                  "bias_q",
                                  "--alibi_slopes",
                                  "slopes_q",
                                  "--sinks",
                                  "sinks_q",
                                  "--rotary",
                                  "neox",
                                  "--cos",
                                  "cos_q",
                                  "--sin",
                                  "sin_q",
                                  "--rotary_q_offset",
                                  "5",
                                  "--rotary_k_offset",
                                  "6",
                                  "--replicated",
                                  "--original_seq_len",
                                  "2",
                                  "--skip_scores",
                                  "gated_value",
                                  "--sample_weights",
                                  "w_q",
                                  "--gate",
                                  "gate_q",
                                  "--gate_form",
                                  "twice_sigmoid"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(received.mask().expression().packed().ids(), "mask_q");
  EXPECT_EQ(received.mask().q_offset(), -4);
  EXPECT_EQ(received.mask().kv_offset(), 7);
  EXPECT_EQ(received.modifiers().softcap(), 30);
  EXPECT_EQ(received.modifiers().bias(), "bias_q");
  EXPECT_EQ(received.modifiers().alibi_slopes(), "slopes_q");
  EXPECT_EQ(received.modifiers().sinks(), "sinks_q");
  EXPECT_EQ(received.rotary().form(), attention::v1::Rotary::NEOX);
  EXPECT_EQ(received.rotary().cos(), "cos_q");
  EXPECT_EQ(received.rotary().q_offset(), 5);
  EXPECT_EQ(received.rotary().k_offset(), 6);
  EXPECT_EQ(received.replicated().v(), "replicated_v");
  EXPECT_EQ(received.original_seq_len(), 2);
  EXPECT_EQ(received.skip_scores().mode(), attention::v1::SkipScores::GATED_VALUE);
  EXPECT_EQ(received.skip_scores().sample_weights(), "w_q");
  EXPECT_EQ(received.gate().tensor(), "gate_q");
  EXPECT_EQ(received.gate().form(), attention::v1::OutputGate::TWICE_SIGMOID);
  EXPECT_EQ(received.tensors_size(), 3 + 1 + 3 + 2 + 3 + 2);
}

TEST_F(CallFields, NamesReplicatedTensorsAndReadsExpressionsFromFiles) {
  AttendRequest received;
  service_.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                        AttendResponse* response) {
    received = request;
    return EchoQuery(context, request, response);
  };
  const std::string expression = absl::StrCat(testing::TempDir(), "/expression.json");
  std::ofstream(expression) << R"({"op": "sliding_window", "window": 9})";
  const AttnOutput output = Call({WriteFile({"", "x_"}), "--replicated=x_q,x_k,x_v", "--mask_expr",
                                  absl::StrCat("@", expression)});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(received.replicated().q(), "x_q");
  EXPECT_EQ(received.replicated().v(), "x_v");
  EXPECT_EQ(received.mask().expression().sliding_window().window(), 9);
  EXPECT_EQ(received.tensors_size(), 6);
}

TEST_F(CallFields, ShowsSkippedBlocksAndFurtherOutputsWhereThereAreSome) {
  const std::string file = WriteFile({""});
  EXPECT_THAT(Call({file}).out, testing::Not(HasSubstr("blocks skipped")));
  EXPECT_FALSE(Call({file, "--json"}).json()["calls"][0].contains("block_sparsity"));
  service_.attend = [](grpc::ServerContext* context, const AttendRequest& request,
                       AttendResponse* response) {
    const grpc::Status status = EchoQuery(context, request, response);
    response->mutable_metrics()->set_block_sparsity(0.375);
    *response->add_outputs() = response->outputs(0);
    response->mutable_outputs(1)->set_name("replicated_out");
    return status;
  };
  const AttnOutput output = Call({file});
  EXPECT_THAT(output.out, HasSubstr("blocks skipped"));
  EXPECT_THAT(output.out, HasSubstr("0.3750\n"));
  EXPECT_THAT(output.out, HasSubstr("replicated_out  1x2x3x4 fp32"));
  const nlohmann::json call = Call({file, "--json"}).json()["calls"][0];
  EXPECT_EQ(call["block_sparsity"], 0.375);
  EXPECT_EQ(call["metrics"]["block_sparsity"], 0.375);
  EXPECT_EQ(call["outputs"][1]["name"], "replicated_out");
}

// They are another backend's, and eager refuses what it does not know.
TEST_F(CallFields, ChecksWithoutTheOptionsAndTheirTensors) {
  AttendRequest checked;
  service_.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                        AttendResponse* response) {
    if (!request.scope_id().empty()) checked = request;
    return EchoQuery(context, request, response);
  };
  const AttnOutput output = Call({WriteFile({"", "x_"}), "--check", "--bias", "x_q", "--option",
                                  "block_q=32", "--option", R"(prior={"tensor": "x_k"})"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_TRUE(checked.options().empty());
  EXPECT_EQ(checked.modifiers().bias(), "x_q");
  ASSERT_EQ(checked.tensors_size(), 4);
  EXPECT_EQ(checked.tensors(3).name(), "x_q");
}

TEST_F(CallFields, RecordsNamedTensorsWithTheRangeOfTheirValues) {
  const std::string path = absl::StrCat(testing::TempDir(), "/recorded.json");
  std::filesystem::remove(path);
  const AttnOutput output =
      Call({WriteFile({"", "x_"}), "--bias", "x_q", "--softcap", "3", "--record", path});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const absl::StatusOr<load::Workload> workload = load::ReadWorkload(path);
  ASSERT_TRUE(workload.ok()) << workload.status();
  const load::Entry& entry = workload->entries.front();
  EXPECT_EQ(entry.request.modifiers().bias(), "x_q");
  ASSERT_EQ(entry.tensors.size(), 4U);
  EXPECT_FALSE(entry.tensors[0].range.has_value());
  EXPECT_EQ(entry.tensors[3].range->min, -7.5);
  EXPECT_EQ(entry.tensors[3].range->max, 15.5);
}

}  // namespace
}  // namespace attn::cli
