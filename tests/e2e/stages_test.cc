// Score modifiers, rotary embedding, replicated tokens, trimming, skipped scores and gates over the
// wire, each against attention by its definition.
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tests/e2e/plain_attention.h"
#include "tests/e2e/plain_call.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

// fp32 sums of up to 60 values below 1.
constexpr double kClose = 2e-5;

double AsItIs(int64_t /*b*/, int64_t /*h*/, int64_t /*i*/, int64_t /*j*/, double score) {
  return score;
}

class StagesTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    server_ = new ServerProcess();
    stub_ = ConnectPlain(server_->tcp());
  }
  static void TearDownTestSuite() {
    stub_.reset();
    EXPECT_EQ(server_->Stop().exit_code, 0);
    delete server_;
  }

  static v1::AttendResponse AttendGood(v1::AttendRequest request) {
    request.set_backend(GetParam());
    grpc::ClientContext context;
    v1::AttendResponse response;
    const grpc::Status status = stub_->Attend(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  static ServerProcess* server_;
  static std::unique_ptr<v1::AttentionService::Stub> stub_;
};

ServerProcess* StagesTest::server_ = nullptr;
std::unique_ptr<v1::AttentionService::Stub> StagesTest::stub_;

TEST_P(StagesTest, ModifiersInTheirOrder) {
  const PlainInputs inputs = RandomInputs(2, 4, 2, 40, 60, 16);
  const PlainTensor bias = RandomTensor({2, 1, 40, 60}, 4);
  const PlainTensor slopes = RandomTensor({4}, 5);
  const PlainTensor sinks = RandomTensor({4}, 6);
  v1::AttendRequest request = RequestOf(inputs);
  AddTensor("bias", bias, &request);
  AddTensor("slopes", slopes, &request);
  AddTensor("sinks", sinks, &request);
  request.mutable_modifiers()->set_softcap(0.3);
  request.mutable_modifiers()->set_bias("bias");
  request.mutable_modifiers()->set_alibi_slopes("slopes");
  request.mutable_modifiers()->set_sinks("sinks");
  request.mutable_mask()->set_causal(true);
  request.mutable_outputs()->set_lse(true);
  const auto score = [&](int64_t b, int64_t h, int64_t i, int64_t j, double s) {
    if (j > i + 20) return -std::numeric_limits<double>::infinity();
    return 0.3 * std::tanh(s / 0.3) + bias.At(b, 0, i, j) -
           slopes.values[static_cast<size_t>(h)] * static_cast<double>(std::abs(i + 20 - j));
  };
  const PlainResult expected = PlainAttention(inputs, score, sinks.values);
  const v1::AttendResponse response = AttendGood(request);
  EXPECT_LT(Distance(OutputOf(response, "out"), expected.out), kClose);
  EXPECT_LT(
      Distance(OutputOf(response, "lse"), {{2, 4, 40}, {expected.lse.begin(), expected.lse.end()}}),
      kClose);
}

// Pairs (2i, 2i+1) turned by cos and sin [L, D/2] of the token's position.
PlainTensor Turned(const PlainTensor& tensor, const PlainTensor& cos, const PlainTensor& sin,
                   int64_t offset) {
  PlainTensor turned = tensor;
  const int64_t pairs = tensor.shape[3] / 2;
  for (int64_t at = 0; at < static_cast<int64_t>(tensor.values.size()) / 2; ++at) {
    const int64_t position = at / pairs % tensor.shape[2] + offset;
    const auto angle = static_cast<size_t>(position * pairs + at % pairs);
    const auto x = static_cast<size_t>(2 * at);
    turned.values[x] =
        tensor.values[x] * cos.values[angle] - tensor.values[x + 1] * sin.values[angle];
    turned.values[x + 1] =
        tensor.values[x + 1] * cos.values[angle] + tensor.values[x] * sin.values[angle];
  }
  return turned;
}

TEST_P(StagesTest, RotaryTurnsQueriesAndKeysWhereTheyStand) {
  const PlainInputs inputs = RandomInputs(1, 2, 1, 10, 30, 16);
  const PlainTensor cos = RandomTensor({40, 8}, 4);
  const PlainTensor sin = RandomTensor({40, 8}, 5);
  v1::AttendRequest request = RequestOf(inputs);
  AddTensor("cos", cos, &request);
  AddTensor("sin", sin, &request);
  v1::Rotary* rotary = request.mutable_rotary();
  rotary->set_form(v1::Rotary::INTERLEAVED);
  rotary->set_cos("cos");
  rotary->set_sin("sin");
  rotary->set_q_offset(30);
  rotary->set_k_offset(2);
  const PlainInputs turned = {Turned(inputs.q, cos, sin, 30), Turned(inputs.k, cos, sin, 2),
                              inputs.v};
  EXPECT_LT(Distance(OutputOf(AttendGood(request), "out"), PlainAttention(turned, AsItIs).out),
            kClose);
}

struct TextTokens {
  PlainTensor q = RandomTensor({2, 4, 3, 16}, 11);
  PlainTensor k = RandomTensor({2, 2, 5, 16}, 12);
  PlainTensor v = RandomTensor({2, 2, 5, 16}, 13);

  void AddTo(v1::AttendRequest* request) const {
    AddTensor("text_q", q, request);
    AddTensor("text_k", k, request);
    AddTensor("text_v", v, request);
    request->mutable_replicated()->set_q("text_q");
    request->mutable_replicated()->set_k("text_k");
    request->mutable_replicated()->set_v("text_v");
  }
};

TEST_P(StagesTest, ReplicatedTokensAttendWithTheOthersAndComeBackApart) {
  const PlainInputs inputs = RandomInputs(2, 4, 2, 20, 30, 16);
  const TextTokens text;
  v1::AttendRequest request = RequestOf(inputs);
  text.AddTo(&request);
  request.mutable_outputs()->set_lse(true);
  const v1::AttendResponse response = AttendGood(request);
  const PlainResult expected = PlainAttention(
      {JoinTokens(inputs.q, text.q), JoinTokens(inputs.k, text.k), JoinTokens(inputs.v, text.v)},
      AsItIs);
  EXPECT_LT(Distance(JoinTokens(OutputOf(response, "out"), OutputOf(response, "replicated_out")),
                     expected.out),
            kClose);
  PlainTensor lse = OutputOf(response, "lse");
  PlainTensor text_lse = OutputOf(response, "replicated_lse");
  ASSERT_EQ(lse.shape, (std::vector<int64_t>{2, 4, 20}));
  ASSERT_EQ(text_lse.shape, (std::vector<int64_t>{2, 4, 3}));
  lse.shape.push_back(1);
  text_lse.shape.push_back(1);
  EXPECT_LT(Distance(JoinTokens(lse, text_lse),
                     {{2, 4, 23, 1}, {expected.lse.begin(), expected.lse.end()}}),
            kClose);
}

TEST_P(StagesTest, PaddingBehindTheOriginalTokensIsNotThere) {
  PlainInputs inputs = RandomInputs(1, 2, 2, 24, 24, 16);
  v1::AttendRequest request = RequestOf(inputs);
  request.set_original_seq_len(17);
  request.mutable_outputs()->set_lse(true);
  const v1::AttendResponse response = AttendGood(request);
  const PlainResult expected =
      PlainAttention(inputs, [](auto, auto, int64_t i, int64_t j, double score) {
        return i < 17 && j < 17 ? score : -std::numeric_limits<double>::infinity();
      });
  EXPECT_LT(Distance(OutputOf(response, "out"), expected.out), kClose);
  EXPECT_LT(
      Distance(OutputOf(response, "lse"), {{1, 2, 24}, {expected.lse.begin(), expected.lse.end()}}),
      kClose);
}

TEST_P(StagesTest, SkippedSamplesAreTheirValuesAndOthersRideAlong) {
  PlainInputs inputs = RandomInputs(3, 2, 1, 20, 20, 16);
  inputs.q.values[0] = std::numeric_limits<float>::quiet_NaN();  // Of the skipped sample.
  v1::AttendRequest request = RequestOf(inputs);
  AddTensor("weights", {{3}, {0, 1, 0.25F}}, &request);
  request.mutable_skip_scores()->set_mode(v1::SkipScores::VALUE);
  request.mutable_skip_scores()->set_sample_weights("weights");
  PlainTensor expected = PlainAttention(inputs, AsItIs).out;
  for (int64_t b = 0, at = 0; b < 3; ++b) {
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t row = 0; row < 20 * 16; ++row, ++at) {
        const auto value = static_cast<float>(inputs.v.At(b, 0, row / 16, row % 16));
        float& out = expected.values[static_cast<size_t>(at)];
        if (b == 0) out = value;
        if (b == 2) out = value + 0.25F * (out - value);
      }
    }
  }
  EXPECT_LT(Distance(OutputOf(AttendGood(request), "out"), expected), kClose);
}

TEST_P(StagesTest, GatesStandOnEveryPath) {
  const PlainInputs inputs = RandomInputs(1, 2, 2, 20, 20, 16);
  const PlainTensor gate = RandomTensor({1, 20, 2}, 4);
  v1::AttendRequest request = RequestOf(inputs);
  AddTensor("gate", gate, &request);
  request.mutable_gate()->set_form(v1::OutputGate::TWICE_SIGMOID);
  request.mutable_gate()->set_tensor("gate");
  const auto gated = [&gate](PlainTensor out) {
    for (int64_t at = 0; at < static_cast<int64_t>(out.values.size()); ++at) {
      const int64_t row = at / 16;
      const double x = gate.values[static_cast<size_t>(row % 20 * 2 + row / 20)];
      out.values[static_cast<size_t>(at)] *= static_cast<float>(2 / (1 + std::exp(-x)));
    }
    return out;
  };
  EXPECT_LT(
      Distance(OutputOf(AttendGood(request), "out"), gated(PlainAttention(inputs, AsItIs).out)),
      kClose);
  request.mutable_skip_scores()->set_mode(v1::SkipScores::GATED_VALUE);
  EXPECT_LT(Distance(OutputOf(AttendGood(request), "out"), gated(inputs.v)), kClose);
}

TEST_P(StagesTest, GatesStandOnReplicatedTokensToo) {
  const PlainInputs inputs = RandomInputs(2, 4, 2, 20, 30, 16);
  const TextTokens text;
  v1::AttendRequest request = RequestOf(inputs);
  text.AddTo(&request);
  AddTensor("gate", RandomTensor({2, 23, 4}, 4), &request);
  request.mutable_gate()->set_form(v1::OutputGate::LINEAR);
  request.mutable_gate()->set_tensor("gate");
  const v1::AttendResponse response = AttendGood(request);
  const PlainTensor gate = RandomTensor({1, 2, 23, 4}, 4);
  PlainTensor expected = PlainAttention({JoinTokens(inputs.q, text.q), JoinTokens(inputs.k, text.k),
                                         JoinTokens(inputs.v, text.v)},
                                        AsItIs)
                             .out;
  for (int64_t at = 0; at < static_cast<int64_t>(expected.values.size()); ++at) {
    const int64_t token = at / 16 % 23;
    const int64_t head = at / 16 / 23 % 4;
    const int64_t b = at / 16 / 23 / 4;
    expected.values[static_cast<size_t>(at)] *= static_cast<float>(gate.At(0, b, token, head));
  }
  EXPECT_LT(Distance(JoinTokens(OutputOf(response, "out"), OutputOf(response, "replicated_out")),
                     expected),
            kClose);
}

INSTANTIATE_TEST_SUITE_P(Backends, StagesTest, ::testing::Values("flash", "flex", "eager"),
                         [](const auto& backend) { return std::string(backend.param); });

}  // namespace
}  // namespace attn
