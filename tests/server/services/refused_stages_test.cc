// What ParseCall refuses of what stands around attention.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/services/refused_call.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

class RefusedStageTest : public ::testing::TestWithParam<RefusedCall> {};

TEST_P(RefusedStageTest, NamesFieldAndValue) { ExpectRefused(GetParam(), PaddedTokens()); }

class RefusedPackedCallTest : public ::testing::TestWithParam<RefusedCall> {};

TEST_P(RefusedPackedCallTest, NamesFieldAndValue) { ExpectRefused(GetParam(), PackedTokens()); }

const RefusedCall kRotaryRows[] = {
    {"no_form",
     "rotary { cos: 'c' sin: 's' }",
     {{"c", kFp32, {5, 4}}, {"s", kFp32, {5, 4}}},
     "rotary.form: not given"},
    {"integers",
     "rotary { form: NEOX cos: 'c' sin: 's' }",
     {{"c", kFp32, {5, 4}}, {"s", kInt32, {5, 4}}},
     "rotary.sin 's': dtype int32 not allowed, allowed: fp32, fp16, bf16"},
    {"wrong_columns",
     "rotary { form: NEOX cos: 'c' sin: 's' }",
     {{"c", kFp32, {5, 8}}, {"s", kFp32, {5, 8}}},
     "rotary.cos 'c': shape [5, 8] not allowed, allowed: [L, 4] or [2 or 1, L, 4]"},
    {"wrong_columns_of_full",
     "rotary { form: FULL cos: 'c' sin: 's' }",
     {{"c", kFp32, {5, 4}}, {"s", kFp32, {5, 4}}},
     "allowed: [L, 8] or [2 or 1, L, 8]"},
    {"wrong_samples",
     "rotary { form: NEOX cos: 'c' sin: 's' }",
     {{"c", kFp32, {3, 5, 4}}, {"s", kFp32, {3, 5, 4}}},
     "rotary.cos 'c': shape [3, 5, 4] not allowed"},
    {"wrong_rank",
     "rotary { form: NEOX cos: 'c' sin: 's' }",
     {{"c", kFp32, {4}}, {"s", kFp32, {4}}},
     "rotary.cos 'c': shape [4] not allowed"},
    {"shapes_differ",
     "rotary { form: NEOX cos: 'c' sin: 's' }",
     {{"c", kFp32, {5, 4}}, {"s", kFp32, {6, 4}}},
     "rotary.sin 's': shape [6, 4] not allowed, allowed: [5, 4], which is that of rotary.cos"},
    {"too_few_rows",
     "rotary { form: NEOX cos: 'c' sin: 's' q_offset: 1 }",
     {{"c", kFp32, {5, 4}}, {"s", kFp32, {5, 4}}},
     "rotary.cos has 5 rows, allowed: 6 or more, rotary.q_offset 1 and the 5 tokens of q"},
    {"too_few_rows_for_k",
     "rotary { form: NEOX cos: 'c' sin: 's' k_offset: 4 } original_seq_len: 2",
     {{"c", kFp32, {5, 4}}, {"s", kFp32, {5, 4}}},
     "allowed: 6 or more, rotary.k_offset 4 and the 2 tokens of k"},
    {"negative_offset",
     "rotary { form: NEOX cos: 'c' sin: 's' k_offset: -1 }",
     {{"c", kFp32, {5, 4}}, {"s", kFp32, {5, 4}}},
     "rotary.k_offset: -1 not allowed"},
};

const RefusedCall kTokenRows[] = {
    {"two_of_three", "replicated { q: 'a' k: 'b' }", {}, "replicated.v: not given"},
    {"dtype",
     "replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", v1::DATA_TYPE_BF16, {2, 4, 1, 8}},
      {"b", kFp32, {2, 2, 1, 8}},
      {"c", kFp32, {2, 2, 1, 6}}},
     "replicated.q 'a': dtype bf16 differs from q's fp32"},
    {"heads",
     "replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", kFp32, {2, 4, 1, 8}}, {"b", kFp32, {2, 4, 1, 8}}, {"c", kFp32, {2, 2, 1, 6}}},
     "replicated.k 'b': shape [2, 4, 1, 8] not allowed, allowed: [2, 2, 1, 8]"},
    {"batch",
     "replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", kFp32, {1, 4, 1, 8}}, {"b", kFp32, {2, 2, 1, 8}}, {"c", kFp32, {2, 2, 1, 6}}},
     "replicated.q 'a': shape [1, 4, 1, 8] not allowed, allowed: [2, 4, 1, 8]"},
    {"head_size",
     "replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", kFp32, {2, 4, 1, 8}}, {"b", kFp32, {2, 2, 1, 8}}, {"c", kFp32, {2, 2, 1, 8}}},
     "replicated.v 'c': shape [2, 2, 1, 8] not allowed, allowed: [2, 2, 1, 6]"},
    {"lengths_of_k_and_v",
     "replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", kFp32, {2, 4, 1, 8}}, {"b", kFp32, {2, 2, 1, 8}}, {"c", kFp32, {2, 2, 2, 6}}},
     "replicated.v 'c': shape [2, 2, 2, 6] not allowed, allowed: [2, 2, 1, 6]"},
    {"pattern",
     "replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", kFp32, {2, 4, 1, 8}, "b h x d"},
      {"b", kFp32, {2, 2, 1, 8}},
      {"c", kFp32, {2, 2, 1, 6}}},
     "unknown axis 'x'"},
    {"packed_pattern",
     "replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", kFp32, {1, 4, 8}, "t h d"}, {"b", kFp32, {2, 2, 1, 8}}, {"c", kFp32, {2, 2, 1, 6}}},
     "tensor 'a': pattern 't h d' is packed"},
    {"original_seq_len_long",
     "original_seq_len: 6",
     {},
     "original_seq_len: 6 not allowed, allowed: 1 to 5"},
    {"original_seq_len_negative", "original_seq_len: -1", {}, "original_seq_len: -1 not allowed"},
    {"lengths_beyond_trimmed_tokens",
     "original_seq_len: 3 mask { k_lengths: [4, 3] }",
     {},
     "mask.k_lengths[0] is 4, allowed: 0 to 3"},
};

const RefusedCall kOutputRows[] = {
    {"weights_without_a_mode",
     "skip_scores { sample_weights: 'w' }",
     {{"w", kFp32, {2}}},
     "skip_scores.sample_weights: given with mode NONE"},
    {"weights_of_integers",
     "skip_scores { mode: VALUE sample_weights: 'w' }",
     {{"w", kInt32, {2}}},
     "skip_scores.sample_weights 'w': dtype int32 not allowed"},
    {"weights_of_another_batch",
     "skip_scores { mode: VALUE sample_weights: 'w' }",
     {{"w", kFp32, {1}}},
     "skip_scores.sample_weights 'w': shape [1] not allowed, allowed: [2], which is one a sample"},
    {"gated_without_a_gate",
     "skip_scores { mode: GATED_VALUE }",
     {},
     "skip_scores.mode: GATED_VALUE without a gate"},
    {"value_with_a_gate",
     "skip_scores { mode: VALUE } gate { form: LINEAR tensor: 'g' }",
     {{"g", kFp32, {2, 5, 4}}},
     "skip_scores.mode: VALUE with a gate"},
    {"lse_of_skipped",
     "skip_scores { mode: VALUE } outputs { lse: true }",
     {},
     "outputs.lse: not allowed with skip_scores"},
    {"weights_of_skipped",
     "skip_scores { mode: VALUE } outputs { weights: true }",
     {},
     "outputs.weights: not allowed with skip_scores"},
    {"plan_of_skipped",
     "skip_scores { mode: VALUE } outputs { plan: true }",
     {},
     "outputs.plan: not allowed with skip_scores"},
    {"skipped_text_of_other_lengths",
     "skip_scores { mode: VALUE } replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", kFp32, {2, 4, 1, 8}}, {"b", kFp32, {2, 2, 2, 8}}, {"c", kFp32, {2, 2, 2, 6}}},
     "skip_scores: replicated.q has 1 tokens and replicated.k 2"},
    {"gate_without_a_form",
     "gate { tensor: 'g' }",
     {{"g", kFp32, {2, 5, 4}}},
     "gate.form: not given"},
    {"gate_of_integers",
     "gate { form: LINEAR tensor: 'g' }",
     {{"g", kInt32, {2, 5, 4}}},
     "gate.tensor 'g': dtype int32 not allowed"},
    {"gate_shape",
     "gate { form: LINEAR tensor: 'g' }",
     {{"g", kFp32, {2, 4, 5}}},
     "gate.tensor 'g': shape [2, 4, 5] not allowed, allowed: [2, 5, 4], which is [B, Sq, H]"},
    {"gate_without_the_text",
     "gate { form: LINEAR tensor: 'g' } replicated { q: 'a' k: 'b' v: 'c' }",
     {{"g", kFp32, {2, 5, 4}},
      {"a", kFp32, {2, 4, 3, 8}},
      {"b", kFp32, {2, 2, 2, 8}},
      {"c", kFp32, {2, 2, 2, 6}}},
     "allowed: [2, 8, 4], which is [B, Sq + replicated tokens, H]"},
};

constexpr char kSequences[] = "mask { cu_seqlens_q: [0, 4, 10] cu_seqlens_k: [0, 4, 10] } ";

const RefusedCall kPackedRows[] = {
    {"replicated",
     std::string(kSequences) + "replicated { q: 'a' k: 'b' v: 'c' }",
     {{"a", kFp32, {1, 4, 3, 8}}, {"b", kFp32, {1, 2, 2, 8}}, {"c", kFp32, {1, 2, 2, 6}}},
     "replicated: not allowed with mask.cu_seqlens_q and _k"},
    {"gate_with_a_batch",
     std::string(kSequences) + "gate { form: LINEAR tensor: 'g' }",
     {{"g", kFp32, {1, 10, 4}}},
     "gate.tensor 'g': shape [1, 10, 4] not allowed, allowed: [10, 4], which is [total_q, H]"},
    {"overlapping",
     "mask { cu_seqlens_q: [0, 6, 4, 10] cu_seqlens_k: [0, 4, 4, 10] }",
     {},
     "mask.cu_seqlens_q[2] is 4, less than the one before, 6"},
    {"of_padding_too",
     std::string(kSequences) + "original_seq_len: 8",
     {},
     "mask.cu_seqlens_q ends at 10, allowed: the number of tokens, 8"},
};

INSTANTIATE_TEST_SUITE_P(Rotary, RefusedStageTest, ::testing::ValuesIn(kRotaryRows), RowName);
INSTANTIATE_TEST_SUITE_P(Tokens, RefusedStageTest, ::testing::ValuesIn(kTokenRows), RowName);
INSTANTIATE_TEST_SUITE_P(Outputs, RefusedStageTest, ::testing::ValuesIn(kOutputRows), RowName);
INSTANTIATE_TEST_SUITE_P(Packed, RefusedPackedCallTest, ::testing::ValuesIn(kPackedRows), RowName);

// Of calls whose queries and keys are not as many.
TEST(RefusedLengthsTest, EqualLengthsAreRequiredWhereTokensStandForEachOther) {
  std::vector<TensorText> tensors = PaddedTokens();
  tensors[0].shape[2] = 4;
  ExpectRefused({"", "skip_scores { mode: VALUE }", {}, "skip_scores: q has 4 tokens and k 5"},
                tensors);
  ExpectRefused({"", "original_seq_len: 3", {}, "original_seq_len: q has 4 tokens and k 5"},
                tensors);
}

TEST(RefusedLengthsTest, OddHeadsHaveNoPairs) {
  std::vector<TensorText> tensors = PaddedTokens();
  tensors[0].shape[3] = tensors[1].shape[3] = 7;
  ExpectRefused({"",
                 "rotary { form: NEOX cos: 'c' sin: 's' }",
                 {{"c", kFp32, {5, 3}}, {"s", kFp32, {5, 3}}},
                 "rotary: the head size of q and k is 7, allowed: even ones"},
                tensors);
}

}  // namespace
}  // namespace attn
