#include "client/load/workload.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "client/load/call_mix.h"
#include "client/load/entry_json.h"
#include "client/load/text_file.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace attn::load {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string WorkloadPath() { return absl::StrCat(testing::TempDir(), "/workload_test.json"); }

absl::StatusOr<Workload> Read(const std::string& text) {
  std::ofstream(WorkloadPath()) << text;
  return ReadWorkload(WorkloadPath());
}

// Every key once.
constexpr char kFull[] = R"json({"entries": [
  {"name": "video", "weight": 3, "shape": [2, 8, 16, 64], "kv_heads": 4, "sk": 24, "dv": 32,
   "dtype": "fp16", "pattern": "b s h d", "backend": "flash", "allowed_backends": ["flash", "eager"],
   "model": "wan", "preset": "fast", "allow_fallback": true, "allow_approximate": true,
   "scale": 0.5, "options": {"block": 64, "mask": {"tensor": "m"}},
   "mask": {"causal": true, "alignment": "top_left", "window": [3, -1], "q_lengths": [16, 9],
            "k_lengths": [24, 1]},
   "metadata": {"timestep": 3, "layer": 0, "grid": [1, 2, 8], "text_length": 4, "caller_id": "me"},
   "priority": "batch",
   "outputs": {"lse": true, "plan": true, "plan_block_q": 8, "plan_block_k": 4,
               "out_pattern": "b h s d", "out_dtype": "fp32"},
   "tensors": {"m": {"dtype": "fp32", "shape": [16, 24]}}},
  {"name": "chat", "shape": [2, 4, 64, 16], "pattern": "b s h d",
   "mask": {"expression": {"op": "and", "args": [{"op": "packed", "ids": "ids"},
                                                 {"op": "not", "arg": {"op": "causal"}}]},
            "q_offset": 3, "kv_offset": -3},
   "modifiers": {"softcap": 20.5, "bias": "b", "alibi_slopes": "slopes", "sinks": "sinks"},
   "rotary": {"form": "neox", "cos": "c", "sin": "s", "q_offset": 1, "k_offset": 2},
   "replicated": {"q": "rq", "k": "rk", "v": "rv"}, "original_seq_len": 60,
   "skip_scores": {"mode": "gated_value", "sample_weights": "w"},
   "gate": {"form": "twice_sigmoid", "tensor": "g"},
   "tensors": {"ids": {"dtype": "int32", "shape": [2, 66], "range": [0, 3], "ascending": true},
               "b": {"shape": [1, 1, 66, 66]}, "slopes": {"dtype": "fp32", "shape": [4]},
               "sinks": {"dtype": "fp32", "shape": [4], "range": [-1, 1.5]},
               "c": {"dtype": "fp32", "shape": [66, 8]}, "s": {"dtype": "fp32", "shape": [66, 8]},
               "rq": {"shape": [2, 6, 4, 16], "pattern": "b s h d"},
               "rk": {"shape": [2, 6, 64], "pattern": "b s (h d)", "heads": 4},
               "rv": {"shape": [2, 4, 6, 16]},
               "w": {"dtype": "fp32", "shape": [2], "range": [0, 1]},
               "g": {"shape": [2, 60, 4]}}},
  {"q_shape": [40, 2, 8], "k_shape": [55, 2, 8], "v_shape": [55, 2, 8],
   "mask": {"cu_seqlens_q": [0, 40], "cu_seqlens_k": [0, 55]}}
]})json";

TEST(Workload, ReadsEveryKey) {
  const Workload workload = Read(kFull).value();
  ASSERT_EQ(workload.entries.size(), 3);
  const Entry& video = workload.entries[0];
  EXPECT_EQ(video.name, "video");
  EXPECT_EQ(video.weight, 3);
  EXPECT_THAT(video.tensors[0].shape, ElementsAre(2, 16, 8, 64));
  EXPECT_THAT(video.tensors[1].shape, ElementsAre(2, 24, 4, 64));
  EXPECT_THAT(video.tensors[2].shape, ElementsAre(2, 24, 4, 32));
  EXPECT_EQ(video.tensors[3].name, "m");
  EXPECT_EQ(video.tensors[0].dtype, DType::kFloat16);
  EXPECT_EQ(video.request.metadata().priority(), attention::v1::CallMetadata::BATCH);
  EXPECT_EQ(video.request.mask().window().right(), -1);
  EXPECT_EQ(video.request.options().at("mask").tensor(), "m");
  EXPECT_EQ(workload.entries[2].name, "entries[2]");
  EXPECT_EQ(workload.entries[2].weight, 1);
}

const TensorSpec& TensorOf(const Entry& entry, const std::string& name) {
  for (const TensorSpec& tensor : entry.tensors) {
    if (tensor.name == name) return tensor;
  }
  ADD_FAILURE() << "no tensor " << name;
  return entry.tensors.front();
}

TEST(Workload, ReadsWhatIsDoneToScoresAndTokens) {
  const Entry chat = Read(kFull).value().entries[1];
  const attention::v1::AttendRequest& request = chat.request;
  EXPECT_EQ(request.mask().expression().all_of().args(0).packed().ids(), "ids");
  EXPECT_TRUE(request.mask().expression().all_of().args(1).negation().has_causal());
  EXPECT_EQ(request.mask().q_offset(), 3);
  EXPECT_EQ(request.mask().kv_offset(), -3);
  EXPECT_EQ(request.modifiers().softcap(), 20.5);
  EXPECT_EQ(request.modifiers().sinks(), "sinks");
  EXPECT_EQ(request.rotary().form(), attention::v1::Rotary::NEOX);
  EXPECT_EQ(request.rotary().k_offset(), 2);
  EXPECT_EQ(request.replicated().v(), "rv");
  EXPECT_EQ(request.original_seq_len(), 60);
  EXPECT_EQ(request.skip_scores().mode(), attention::v1::SkipScores::GATED_VALUE);
  EXPECT_EQ(request.skip_scores().sample_weights(), "w");
  EXPECT_EQ(request.gate().form(), attention::v1::OutputGate::TWICE_SIGMOID);
  EXPECT_EQ(TensorOf(chat, "ids").dtype, DType::kInt32);
  EXPECT_TRUE(TensorOf(chat, "ids").ascending);
  EXPECT_EQ(TensorOf(chat, "sinks").range->max, 1.5);
  EXPECT_EQ(TensorOf(chat, "rk").heads, 4);
}

TEST(Workload, IsTheSameWrittenAndReadAgain) {
  const Workload workload = Read(kFull).value();
  for (const Entry& entry : workload.entries) {
    std::filesystem::remove(WorkloadPath());
    ASSERT_TRUE(RecordEntry(WorkloadPath(), entry).ok());
    const Workload again = ReadWorkload(WorkloadPath()).value();
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(again.entries[0].request,
                                                                   entry.request));
    EXPECT_EQ(EntryToJson(again.entries[0]), EntryToJson(entry));
  }
}

TEST(Workload, RecordingAppends) {
  std::filesystem::remove(WorkloadPath());
  const Workload workload = Read(kFull).value();
  std::filesystem::remove(WorkloadPath());
  for (const Entry& entry : workload.entries) {
    ASSERT_TRUE(RecordEntry(WorkloadPath(), entry).ok());
  }
  EXPECT_EQ(ReadWorkload(WorkloadPath())->entries.size(), 3);
  EXPECT_FALSE(RecordEntry("/no/such/folder/mix.json", workload.entries[0]).ok());
  std::ofstream(WorkloadPath()) << "{\"entries\": 3}";
  EXPECT_FALSE(RecordEntry(WorkloadPath(), workload.entries[0]).ok()) << "not overwritten";
}

struct WrongWorkload {
  const char* text;
  const char* says;  // After the path.
};

class WrongWorkloadTest : public testing::TestWithParam<WrongWorkload> {};

TEST_P(WrongWorkloadTest, NamesFilePlaceValueAndWhatIsAllowed) {
  const absl::Status status = Read(GetParam().text).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat(WorkloadPath(), ": ", GetParam().says)));
}

INSTANTIATE_TEST_SUITE_P(
    , WrongWorkloadTest,
    testing::Values(
        WrongWorkload{"{", "not well-formed JSON"},
        WrongWorkload{"[]", "array; allowed: an object"},
        WrongWorkload{"{}", "entries: allowed: a list"},
        WrongWorkload{R"({"entries": []})", "entries: allowed: a list of 1 to 256"},
        WrongWorkload{R"({"entires": []})", "unknown key 'entires'; did you mean 'entries'?"},
        WrongWorkload{R"({"entries": [3]})", "entries[0]: number; allowed: an object"},
        WrongWorkload{R"({"entries": [{}]})", "entries[0]: needs `shape`, or `q_shape`"},
        WrongWorkload{R"({"entries": [{"shape": [1, 2, 3]}]})",
                      "entries[0].shape: '1x2x3' has 3 sizes; allowed: BxHxSxD"},
        WrongWorkload{R"({"entries": [{"shape": [1, 2, 0, 4]}]})",
                      "entries[0].shape: '[1,2,0,4]'; allowed: a list of integers of at least 1"},
        WrongWorkload{R"({"entries": [{"shape": "1x2x3x4"}]})",
                      "entries[0].shape: '1x2x3x4'; allowed: a list of integers of at least 1, as "
                      "in [1, 8, 128, 64]"},
        WrongWorkload{R"({"entries": [{"shape": [1, 2, 3, 4], "kv_heads": 3}]})",
                      "entries[0]: k: 3 heads; allowed: a divisor of 2"},
        WrongWorkload{
            R"({"entries": [{"q_shape": [1,2,3,4], "k_shape": [1,2,3,5], "v_shape": [1,2,3,4]}]})",
            "entries[0]: k: head size 5; that of q is 4"},
        WrongWorkload{
            R"({"entries": [{"q_shape": [1,2,3,4], "k_shape": [1,2,3,4], "v_shape": [1,2,9,4]}]})",
            "entries[0]: v: number of tokens 9; that of k is 3"},
        WrongWorkload{
            R"({"entries": [{"q_shape": [2,3,4], "k_shape": [1,2,3,4], "v_shape": [1,2,3,4]}]})",
            "entries[0]: q"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "sd": 4}]})",
                      "entries[0]: unknown key 'sd'; did you mean 'sk'?"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "dtype": "int8"}]})",
                      "entries[0].dtype: 'int8'; allowed: fp32, fp16, bf16"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "weight": 0}]})",
                      "entries[0].weight: '0'; allowed: a number above 0"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "mask": {"window": [1]}}]})",
                      "entries[0].mask.window: '[1]'; allowed: [left, right]"},
        WrongWorkload{R"({"entries": [{"shape": [2,2,3,4], "mask": {"k_lengths": [3]}}]})",
                      "entries[0]: "},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "mask": {"casual": true}}]})",
                      "entries[0].mask: unknown key 'casual'; did you mean 'causal'?"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "metadata": {"grid": [1,2]}}]})",
                      "entries[0].metadata.grid: '[1,2]'; allowed: [frames, rows, columns]"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "priority": "high"}]})",
                      "entries[0].priority: 'high'; allowed: interactive, batch"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "options": {"a": null}}]})",
                      "entries[0].options.a: "},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "tensors": {"m": {}}}]})",
                      "entries[0].tensors.m.shape: missing"},
        WrongWorkload{
            R"({"entries": [{"shape": [1,2,3,4], "mask": {"expression": {"op": "casual"}}}]})",
            "entries[0].mask.expression: "},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "modifiers": {"softcaps": 3}}]})",
                      "entries[0].modifiers: unknown key 'softcaps'; did you mean 'softcap'?"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "rotary": {"form": "gptj"}}]})",
                      "entries[0].rotary.form: 'gptj'; allowed: interleaved, neox, full"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "skip_scores": "value"}]})",
                      "entries[0].skip_scores: string; allowed: an object"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "gate": {"form": "tanh"}}]})",
                      "entries[0].gate.form: 'tanh'; allowed: linear, sigmoid, twice_sigmoid"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "original_seq_len": 4}]})",
                      "entries[0]: original_seq_len: 4; allowed: 0 to 3"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "modifiers": {"bias": "b"}}]})",
                      "entries[0]: tensor 'b': named by the call, but not described"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "tensors": {"b": {"shape": [3]}}}]})",
                      "entries[0]: tensor 'b': described, but the call names it nowhere"},
        WrongWorkload{
            R"({"entries": [{"shape": [1,2,3,4], "tensors": {"b": {"shape": [3], "dtype": "f8"}}}]})",
            "entries[0].tensors.b.dtype: 'f8'; allowed: fp32, fp16, bf16, int32"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4],
                          "tensors": {"b": {"shape": [3], "dtype": "int32"}}}]})",
                      "entries[0].tensors.b.range: missing"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4],
                          "tensors": {"b": {"shape": [3], "dtype": "int8", "range": [0, 128]}}}]})",
                      "entries[0].tensors.b.range: 0, 128; allowed for int8: integers of -128 to "
                      "127"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4],
                          "tensors": {"b": {"shape": [3], "dtype": "bits", "range": [0, 1]}}}]})",
                      "entries[0].tensors.b.range: bits"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4],
                          "tensors": {"b": {"shape": [3], "range": [2, 1]}}}]})",
                      "entries[0].tensors.b.range: 2, 1; allowed: the smaller number first"},
        WrongWorkload{R"({"entries": [{"shape": [1,2,3,4], "shape": [1,2,3,4]}]})",
                      "key 'shape' stands twice"}),
    [](const auto& tested) { return absl::StrCat("Case", tested.index); });

TEST(Workload, OfAFileThatIsNotThereSaysSo) {
  EXPECT_THAT(std::string(ReadWorkload("/no/such/mix.json").status().message()),
              HasSubstr("/no/such/mix.json: no such file"));
}

Workload TwoEntries() {
  return Read(R"({"entries": [{"shape": [1,1,4,8], "weight": 3}, {"shape": [1,1,2,8]}]})").value();
}

TEST(CallMix, PicksByWeightAndSeed) {
  const CallMix mix = CallMix::Create(TwoEntries(), 1).value();
  const CallMix same = CallMix::Create(TwoEntries(), 1).value();
  const CallMix other = CallMix::Create(TwoEntries(), 2).value();
  int first = 0;
  int different = 0;
  for (int64_t i = 0; i < 10'000; ++i) {
    first += mix.Pick(i) == 0 ? 1 : 0;
    different += mix.Pick(i) != other.Pick(i) ? 1 : 0;
    ASSERT_EQ(mix.Pick(i), same.Pick(i));
  }
  EXPECT_NEAR(first, 7500, 200);  // Standard deviation 43.
  EXPECT_GT(different, 1000);
}

// Each is a double above 0; their sum is none, and no draw would have a place among them.
TEST(CallMix, WeightsWhoseSumIsBeyondADoubleAreRefused) {
  const Workload workload = Read(R"({"entries": [{"shape": [1,1,4,8], "weight": 1e308},
                                                 {"shape": [1,1,2,8], "weight": 1e308}]})")
                                .value();
  const absl::Status status = CallMix::Create(workload, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("weight: the sum of all is beyond a double"));
}

TEST(CallMix, DrawsNamedTensorsFromTheirRanges) {
  const CallMix mix = CallMix::Create(Read(kFull).value(), 1).value();
  for (const ClientTensor& tensor : mix.arguments(1).tensors) {
    if (tensor.name != "ids") continue;
    const auto* ids = reinterpret_cast<const int32_t*>(tensor.data.data());
    for (int sample = 0; sample < 2; ++sample) {
      const std::vector<int32_t> row(ids + sample * 66, ids + (sample + 1) * 66);
      EXPECT_TRUE(std::is_sorted(row.begin(), row.end()));
      EXPECT_EQ(row.front(), 0);
      EXPECT_EQ(row.back(), 3);
    }
  }
}

TEST(CallMix, GivesEveryEntryTensorsOfItsOwn) {
  const CallMix mix = CallMix::Create(TwoEntries(), 1).value();
  ASSERT_EQ(mix.entry_count(), 2);
  EXPECT_EQ(mix.payload_bytes(0), 3 * 4 * 8 * 2);
  const auto& tensors = mix.arguments(0).tensors;
  ASSERT_EQ(tensors.size(), 3);
  EXPECT_FALSE(std::equal(tensors[0].data.begin(), tensors[0].data.end(), tensors[1].data.begin()))
      << "q and k do not share their numbers";
}

}  // namespace
}  // namespace attn::load
