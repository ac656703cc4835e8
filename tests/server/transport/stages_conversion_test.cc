#include "server/transport/stages_conversion.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

template <typename Message>
auto ReadStage(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return FromProto(message);
}

TEST(StagesConversionTest, KeepsEveryField) {
  const auto modifiers =
      ReadStage<v1::ScoreModifiers>("softcap: 20 bias: 'b' alibi_slopes: 'a' sinks: 's'");
  ASSERT_TRUE(modifiers.ok()) << modifiers.status();
  EXPECT_EQ(modifiers->softcap, 20);
  EXPECT_EQ(modifiers->bias, "b");
  EXPECT_EQ(modifiers->alibi_slopes, "a");
  EXPECT_EQ(modifiers->sinks, "s");

  const auto rotary = ReadStage<v1::Rotary>("form: NEOX cos: 'c' sin: 's' q_offset: 3 k_offset: 4");
  ASSERT_TRUE(rotary.ok()) << rotary.status();
  EXPECT_EQ(rotary->form, RotaryForm::kNeox);
  EXPECT_EQ(rotary->cos, "c");
  EXPECT_EQ(rotary->sin, "s");
  EXPECT_EQ(rotary->q_offset, 3);
  EXPECT_EQ(rotary->k_offset, 4);

  const auto replicated = ReadStage<v1::ReplicatedTokens>("q: 'a' k: 'b' v: 'c'");
  ASSERT_TRUE(replicated.ok()) << replicated.status();
  EXPECT_EQ(replicated->q, "a");
  EXPECT_EQ(replicated->k, "b");
  EXPECT_EQ(replicated->v, "c");

  const auto skip = ReadStage<v1::SkipScores>("mode: GATED_VALUE sample_weights: 'w'");
  ASSERT_TRUE(skip.ok()) << skip.status();
  EXPECT_EQ(skip->mode, SkipMode::kGatedValue);
  EXPECT_EQ(skip->sample_weights, "w");

  const auto gate = ReadStage<v1::OutputGate>("form: SIGMOID tensor: 'g'");
  ASSERT_TRUE(gate.ok()) << gate.status();
  EXPECT_EQ(gate->form, GateForm::kSigmoid);
  EXPECT_EQ(gate->tensor, "g");
}

TEST(StagesConversionTest, EveryNamedFormIsKnown) {
  for (int form = 1; form < v1::Rotary::Form_ARRAYSIZE; ++form) {
    v1::Rotary rotary;
    rotary.set_form(static_cast<v1::Rotary::Form>(form));
    rotary.set_cos("c");
    rotary.set_sin("s");
    ASSERT_TRUE(FromProto(rotary).ok()) << form;
    EXPECT_EQ(static_cast<int>(FromProto(rotary)->form), form);
  }
  for (int mode = 0; mode < v1::SkipScores::Mode_ARRAYSIZE; ++mode) {
    v1::SkipScores skip;
    skip.set_mode(static_cast<v1::SkipScores::Mode>(mode));
    ASSERT_TRUE(FromProto(skip).ok()) << mode;
    EXPECT_EQ(static_cast<int>(FromProto(skip)->mode), mode);
  }
  for (int form = 1; form < v1::OutputGate::Form_ARRAYSIZE; ++form) {
    v1::OutputGate gate;
    gate.set_form(static_cast<v1::OutputGate::Form>(form));
    gate.set_tensor("g");
    ASSERT_TRUE(FromProto(gate).ok()) << form;
    EXPECT_EQ(static_cast<int>(FromProto(gate)->form), form);
  }
}

TEST(StagesConversionTest, RefusesByName) {
  const struct {
    std::function<absl::Status()> read;
    const char* error;
  } cases[] = {
      {[] { return ReadStage<v1::ScoreModifiers>("softcap: 0").status(); },
       "modifiers.softcap is 0, allowed: 1.17549e-38 to 3.40282e+38"},
      {[] { return ReadStage<v1::ScoreModifiers>("softcap: -1").status(); },
       "modifiers.softcap is -1, allowed: 1.17549e-38 to 3.40282e+38"},
      {[] { return ReadStage<v1::ScoreModifiers>("softcap: nan").status(); },
       "modifiers.softcap is nan, allowed: 1.17549e-38 to 3.40282e+38"},
      {[] { return ReadStage<v1::ScoreModifiers>("softcap: inf").status(); },
       "modifiers.softcap is inf, allowed: 1.17549e-38 to 3.40282e+38"},
      {[] { return ReadStage<v1::Rotary>("cos: 'c' sin: 's'").status(); },
       "rotary.form: not given, known: INTERLEAVED (1), NEOX (2), FULL (3)"},
      {[] { return ReadStage<v1::Rotary>("form: FULL sin: 's'").status(); },
       "rotary.cos: not given, the name of a tensor is needed"},
      {[] { return ReadStage<v1::Rotary>("form: FULL cos: 'c'").status(); },
       "rotary.sin: not given, the name of a tensor is needed"},
      {[] { return ReadStage<v1::Rotary>("form: FULL cos: 'c' sin: 's' q_offset: -1").status(); },
       "rotary.q_offset: -1 not allowed, allowed: 0 to 2147483647"},
      {[] {
         return ReadStage<v1::Rotary>("form: FULL cos: 'c' sin: 's' k_offset: 2147483648").status();
       },
       "rotary.k_offset: 2147483648 not allowed, allowed: 0 to 2147483647"},
      {[] { return ReadStage<v1::ReplicatedTokens>("k: 'b' v: 'c'").status(); },
       "replicated.q: not given, the name of a tensor is needed"},
      {[] { return ReadStage<v1::ReplicatedTokens>("q: 'a' v: 'c'").status(); },
       "replicated.k: not given, the name of a tensor is needed"},
      {[] { return ReadStage<v1::ReplicatedTokens>("q: 'a' k: 'b'").status(); },
       "replicated.v: not given, the name of a tensor is needed"},
      {[] { return ReadStage<v1::SkipScores>("sample_weights: 'w'").status(); },
       "skip_scores.sample_weights: given with mode NONE, allowed: with VALUE (1) and GATED_VALUE "
       "(2)"},
      {[] { return ReadStage<v1::OutputGate>("tensor: 'g'").status(); },
       "gate.form: not given, known: LINEAR (1), SIGMOID (2), TWICE_SIGMOID (3)"},
      {[] { return ReadStage<v1::OutputGate>("form: LINEAR").status(); },
       "gate.tensor: not given, the name of a tensor is needed"},
  };
  for (const auto& c : cases) {
    const absl::Status status = c.read();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.error;
    EXPECT_EQ(status.message(), c.error);
  }
}

TEST(StagesConversionTest, RefusesUnknownValuesOfEnums) {
  v1::Rotary rotary;
  rotary.set_form(static_cast<v1::Rotary::Form>(9));
  EXPECT_EQ(FromProto(rotary).status().message(),
            "rotary.form: 9 is unknown, known: INTERLEAVED (1), NEOX (2), FULL (3)");
  v1::SkipScores skip;
  skip.set_mode(static_cast<v1::SkipScores::Mode>(-1));
  EXPECT_EQ(FromProto(skip).status().message(),
            "skip_scores.mode: -1 is unknown, known: NONE (0), VALUE (1), GATED_VALUE (2)");
  v1::OutputGate gate;
  gate.set_form(static_cast<v1::OutputGate::Form>(4));
  EXPECT_EQ(FromProto(gate).status().message(),
            "gate.form: 4 is unknown, known: LINEAR (1), SIGMOID (2), TWICE_SIGMOID (3)");
}

}  // namespace
}  // namespace attn
