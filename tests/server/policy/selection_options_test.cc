// Which options reach the chosen backend.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/selection.h"
#include "tests/server/policy/fake_backend.h"
#include "tests/server/policy/selection_support.h"

namespace attn {
namespace {

using testing::HasSubstr;

TEST(SelectionOptions, PresetAliasAndCallOptionsMergeInThisOrder) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  policy.presets = MakePresets();
  struct Case {
    const char* name;
    SelectionRequest request;
    const char* outcome;
    const char* preset;
    OptionMap options;
  };
  const OptionValue fp16{std::string("fp16")}, fp8{std::string("fp8")};
  const OptionMap triton = ResolveBackendName("_sage_qk_int8_pv_fp16_triton")->options;
  const OptionMap fp8_cuda = ResolveBackendName("_sage_qk_int8_pv_fp8_cuda")->options;
  OptionMap fp8_with_block = fp8_cuda;
  fp8_with_block["block_q"] = {int64_t{16}};
  const Case cases[] = {
      {"the preset's, by its own rule",
       {.model = "wan", .preset = "fast"},
       "preset:psa",
       "wan/fast",
       {{"ratio", {0.25}}, {"block_q", {int64_t{32}}}}},
      {"the preset's, the backend named by the call",
       {.backend = "psa", .model = "wan", .preset = "fast"},
       "call:psa",
       "wan/fast",
       {{"ratio", {0.25}}, {"block_q", {int64_t{32}}}}},
      {"the call wins key by key",
       {.model = "wan", .preset = "fast", .options = {{"ratio", {0.75}}}},
       "preset:psa",
       "wan/fast",
       {{"ratio", {0.75}}, {"block_q", {int64_t{32}}}}},
      {"a preset of another backend has no say",
       {.backend = "flash", .model = "wan", .preset = "fast"},
       "call:flash",
       "",
       {}},
      {"an alias fixes options",
       {.backend = "_sage_qk_int8_pv_fp8_cuda"},
       "call:sage",
       "",
       fp8_cuda},
      {"alias over preset, call over alias",
       {.backend = "_sage_qk_int8_pv_fp8_cuda",
        .model = "wan",
        .preset = "int8",
        .options = {{"block_q", {int64_t{16}}}}},
       "call:sage",
       "wan/int8",
       fp8_with_block},
      {"an allowed alias fixes options of the automatic choice",
       {.allowed_backends = {"_sage_qk_int8_pv_fp16_triton"}, .allow_approximate = true},
       "automatic:sage",
       "",
       triton},
      {"the preset's, chosen automatically",
       {.backend = "auto",
        .model = "wan",
        .preset = "fast",
        .allowed_backends = {"psa"},
        .allow_approximate = true},
       "call:psa",
       "wan/fast",
       {{"ratio", {0.25}}, {"block_q", {int64_t{32}}}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto selection = Select(policy, registry, c.request, MakeProblem());
    ASSERT_EQ(Outcome(selection), c.outcome);
    EXPECT_EQ(selection->preset, c.preset);
    EXPECT_TRUE(selection->options == c.options);
  }
}

TEST(SelectionOptions, OfADisplacedBackendAreLeftOutAndNamed) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  policy.forced = Named("flash");
  const auto selection =
      Select(policy, registry, {.backend = "sage", .options = {{"pv", {std::string("fp8")}}}},
             MakeProblem());
  ASSERT_EQ(Outcome(selection), "forced:flash");
  EXPECT_TRUE(selection->options.empty());
  ASSERT_EQ(selection->refused.size(), 1U);
  EXPECT_EQ(selection->refused[0].backend, "sage");
  EXPECT_EQ(selection->refused[0].rule, Rule::kCall);
  EXPECT_EQ(selection->refused[0].reason, "displaced by rule 'forced'; options left out: pv");
}

TEST(SelectionOptions, MeantForNobodyAreAnErrorWhicheverRuleDecides) {
  const Registry registry = StandardRegistry();
  PolicySnapshot policy;
  policy.forced = Named("flash");
  const auto selection =
      Select(policy, registry, {.backend = "psa", .options = {{"pv", {std::string("fp8")}}}},
             MakeProblem());
  EXPECT_EQ(selection.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(selection), HasSubstr("flash: unknown option 'pv'"));
}

}  // namespace
}  // namespace attn
