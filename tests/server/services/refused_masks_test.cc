// What ParseCall refuses of masks and modifiers, and of the tensors that anything names.
#include "gtest/gtest.h"
#include "tests/server/services/refused_call.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

class RefusedMaskTest : public ::testing::TestWithParam<RefusedCall> {};

TEST_P(RefusedMaskTest, NamesFieldAndValue) { ExpectRefused(GetParam(), PaddedTokens()); }

const RefusedCall kUses[] = {
    {"nobody_names_it", "", {{"b", kFp32, {4}}}, "'b' is neither q, k nor v and no field"},
    {"missing_of_a_mask",
     "mask { expression { any_of { args { causal {} } args { packed { ids: 'i' } } } } }",
     {},
     "tensors: 'i' missing, which mask.expression.or[1].packed names"},
    {"missing_of_a_remap",
     "mask { expression { negation { remap { positions: 'p' arg { causal {} } } } } }",
     {},
     "tensors: 'p' missing, which mask.expression.not.remap names"},
    {"missing_of_a_modifier", "modifiers { bias: 'b' }", {}, "'b' missing, which modifiers.bias"},
    {"missing_of_rotary",
     "rotary { form: NEOX cos: 'c' sin: 's' }",
     {{"c", kFp32, {5, 4}}},
     "'s' missing, which rotary.sin names"},
    {"missing_of_replicated",
     "replicated { q: 'a' k: 'b' v: 'c' }",
     {},
     "'a' missing, which replicated.q names"},
    {"missing_of_skip",
     "skip_scores { mode: VALUE sample_weights: 'w' }",
     {},
     "'w' missing, which skip_scores.sample_weights names"},
    {"missing_of_gate",
     "gate { form: LINEAR tensor: 'g' }",
     {},
     "'g' missing, which gate.tensor names"},
    {"missing_of_an_option",
     "options { key: 'x' value { list { values { tensor: 'nothing' } } } }",
     {},
     "'nothing' missing, which options['x'] names"},
    {"q_as_a_bias", "modifiers { bias: 'q' }", {}, "modifiers.bias: 'q' not allowed, allowed: "},
    {"k_as_an_option",
     "options { key: 'x' value { tensor: 'k' } }",
     {},
     "options['x']: 'k' not allowed"},
    {"tokens_as_a_bias",
     "replicated { q: 'a' k: 'b' v: 'c' } modifiers { bias: 'a' }",
     {{"a", kFp32, {2, 4, 1, 8}}, {"b", kFp32, {2, 2, 1, 8}}, {"c", kFp32, {2, 2, 1, 6}}},
     "replicated.q: 'a' is modifiers.bias too"},
    {"pattern_of_a_bias",
     "modifiers { bias: 'b' }",
     {{"b", kFp32, {2, 4, 5, 5}, "b h s d"}},
     "tensor 'b': pattern and heads are for q, k, v and replicated tokens alone"},
    {"heads_of_a_bias",
     "modifiers { bias: 'b' }",
     {{"b", kFp32, {2, 4, 5, 5}, "", 4}},
     "tensor 'b': pattern and heads"},
};

const RefusedCall kMaskRows[] = {
    {"q_offset_alone", "mask { q_offset: 3 }", {}, "mask.q_offset: 3 without mask.expression"},
    {"kv_offset_alone", "mask { kv_offset: -3 }", {}, "mask.kv_offset: -3 without mask.expression"},
    {"no_operator", "mask { expression {} }", {}, "mask.expression: no operator is set"},
    {"ids_of_another_batch",
     "mask { expression { packed { ids: 'i' } } }",
     {{"i", kInt32, {3, 5}}},
     "mask.expression.packed: ids 'i' has shape [3, 5], allowed: [1 or 2, L]"},
    {"ids_of_floats",
     "mask { expression { blockwise { ids: 'i' } } }",
     {{"i", kFp32, {2, 5}}},
     "mask.expression.blockwise: ids 'i' has dtype fp32, allowed: int32, int64"},
    {"dense_of_another_shape",
     "mask { expression { dense { mask: 'm' } } }",
     {{"m", v1::DATA_TYPE_UINT8, {2, 4, 5, 6}}},
     "mask.expression.dense: mask 'm' has shape [2, 4, 5, 6]"},
    {"blocks_of_other_rows",
     "mask { expression { blocks { block_q: 2 block_kv: 2 kv_num_blocks: 'n' kv_indices: 'i' } } }",
     {{"n", kInt32, {1, 1, 2}}, {"i", kInt32, {1, 1, 2, 3}}},
     "mask.expression.blocks: kv_num_blocks 'n' has shape [1, 1, 2], allowed: [1 or 2, 1 or 4, 3]"},
    {"full_blocks_by_half",
     "mask { expression { blocks { kv_num_blocks: 'n' kv_indices: 'i' full_kv_indices: 'f' } } }",
     {{"n", kInt32, {1, 1, 1}}, {"i", kInt32, {1, 1, 1, 1}}, {"f", kInt32, {1, 1, 1, 1}}},
     "mask.expression.blocks: full_kv_indices given alone"},
    {"unknown_function",
     "mask { expression { function { name: 'stripe' } } }",
     {},
     "did you mean 'stripes'?"},
    {"function_refuses",
     "mask { expression { function { name: 'stripes' } } }",
     {},
     "stripes takes one argument"},
    {"chunk_of_nothing", "mask { expression { chunked {} } }", {}, "chunk is 0, allowed: 1 to "},
    {"empty_list", "mask { expression { all_of {} } }", {}, "mask.expression.and: has no args"},
};

const RefusedCall kModifierRows[] = {
    {"softcap_zero", "modifiers { softcap: 0 }", {}, "modifiers.softcap is 0, allowed"},
    {"bias_shape",
     "modifiers { bias: 'b' }",
     {{"b", kFp32, {2, 4, 5, 6}}},
     "has the shape [2, 4, 5, 6], allowed: [2, 4, 5, 5], or 1 along any axis"},
    {"bias_rank", "modifiers { bias: 'b' }", {{"b", kFp32, {5, 5}}}, "has the shape [5, 5]"},
    {"bias_of_integers",
     "modifiers { bias: 'b' }",
     {{"b", kInt32, {2, 4, 5, 5}}},
     "modifiers.bias: tensor `b` is int32, allowed: fp32, fp16, bf16"},
    {"bias_of_untrimmed_tokens",
     "modifiers { bias: 'b' } original_seq_len: 3",
     {{"b", kFp32, {2, 4, 5, 5}}},
     "allowed: [2, 4, 3, 3]"},
    {"slopes_of_kv_heads",
     "modifiers { alibi_slopes: 'a' }",
     {{"a", kFp32, {2}}},
     "has the shape [2], allowed: [4] or [2, 4]"},
    {"sinks_per_sample",
     "modifiers { sinks: 's' }",
     {{"s", kFp32, {2, 4}}},
     "has the shape [2, 4], allowed: [4]"},
};

INSTANTIATE_TEST_SUITE_P(Uses, RefusedMaskTest, ::testing::ValuesIn(kUses), RowName);
INSTANTIATE_TEST_SUITE_P(Masks, RefusedMaskTest, ::testing::ValuesIn(kMaskRows), RowName);
INSTANTIATE_TEST_SUITE_P(Modifiers, RefusedMaskTest, ::testing::ValuesIn(kModifierRows), RowName);

}  // namespace
}  // namespace attn
