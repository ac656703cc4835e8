// What a real server answers to masks, modifiers and stages that make no sense: shapes, structure,
// and what tensors hold.
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/e2e/bad_call.h"
#include "tests/e2e/plain_attention.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

constexpr grpc::StatusCode kRefusedInput = grpc::StatusCode::INVALID_ARGUMENT;

class BadStagesTest : public BadCallTest {};

TEST_P(BadStagesTest, IsRefusedWithItsReason) { ExpectRefused(GetParam()); }

v1::MaskExpression& Expression(v1::AttendRequest& request) {
  return *request.mutable_mask()->mutable_expression();
}

void PackSequences(v1::AttendRequest& request, const std::vector<int64_t>& q,
                   const std::vector<int64_t>& k) {
  request.clear_tensors();
  for (const char* name : {"q", "k", "v"}) AddTensor(&request, name, {6, 2, 4});
  request.mutable_mask()->mutable_cu_seqlens_q()->Assign(q.begin(), q.end());
  request.mutable_mask()->mutable_cu_seqlens_k()->Assign(k.begin(), k.end());
}

// A BlockMask of 3 x 3 blocks of one token, full lists if there are any.
void SetBlocks(v1::AttendRequest& request, const std::vector<int32_t>& counts,
               const std::vector<int32_t>& indices, const std::vector<int32_t>& full_counts = {},
               const std::vector<int32_t>& full_indices = {}) {
  v1::MaskExpression::Blocks& blocks = *Expression(request).mutable_blocks();
  blocks.set_block_q(1);
  blocks.set_block_kv(1);
  blocks.set_kv_num_blocks("counts");
  blocks.set_kv_indices("indices");
  AddIntegers("counts", {1, 1, 3}, counts, &request);
  AddIntegers("indices", {1, 1, 3, 3}, indices, &request);
  if (full_counts.empty()) return;
  blocks.set_full_kv_num_blocks("full_counts");
  blocks.set_full_kv_indices("full_indices");
  AddIntegers("full_counts", {1, 1, 3}, full_counts, &request);
  AddIntegers("full_indices", {1, 1, 3, 3}, full_indices, &request);
}

const BadCall kIds[] = {
    {"of_another_batch",
     [](auto& r) {
       Expression(r).mutable_packed()->set_ids("ids");
       AddIntegers("ids", {2, 3}, {0, 0, 0, 0, 0, 0}, &r);
     },
     kRefusedInput, "mask.expression.packed: ids 'ids' has shape [2, 3], allowed: [1, L]"},
    {"without_a_batch",
     [](auto& r) {
       Expression(r).mutable_blockwise()->set_ids("ids");
       AddIntegers("ids", {3}, {0, 0, 0}, &r);
     },
     kRefusedInput, "mask.expression.blockwise: ids 'ids' has shape [3]"},
    {"of_too_few_tokens",
     [](auto& r) {
       r.mutable_mask()->set_q_offset(4);
       Expression(r).mutable_packed()->set_ids("seq");
       AddIntegers("seq", {1, 6}, {0, 0, 0, 1, 1, 1}, &r);
     },
     kRefusedInput,
     "mask.expression.packed: ids 'seq' has 6 positions, allowed: at least 7, the mask evaluates "
     "it at positions up to 6"},
    {"positions_of_too_few_tokens",
     [](auto& r) {
       Expression(r).mutable_remap()->set_positions("p");
       Expression(r).mutable_remap()->mutable_arg()->mutable_causal();
       AddIntegers("p", {1, 2}, {0, 1}, &r);
     },
     kRefusedInput,
     "mask.expression.remap: positions 'p' has 2 positions, allowed: at least 3, the mask "
     "evaluates it at positions up to 2"},
    {"windows_of_other_heads",
     [](auto& r) {
       Expression(r).mutable_sliding_window()->set_window_per_head("w");
       AddIntegers("w", {3}, {1, 1, 1}, &r);
     },
     kRefusedInput, "window_per_head 'w' has shape [3], allowed: [2]"},
    {"negative_windows",
     [](auto& r) {
       Expression(r).mutable_sliding_window()->set_window_per_head("w");
       AddIntegers("w", {2}, {1, -1}, &r);
     },
     kRefusedInput, "window_per_head 'w'[1] is -1, allowed: 0 to "},
    {"negative_lengths",
     [](auto& r) {
       Expression(r).mutable_padding()->set_lengths("n");
       AddIntegers("n", {1}, {-3}, &r);
     },
     kRefusedInput, "lengths 'n'[0] is -3, allowed: 0 to "},
    {"both_kinds_of_padding",
     [](auto& r) {
       Expression(r).mutable_padding()->set_lengths("n");
       Expression(r).mutable_padding()->set_mask("n");
       AddIntegers("n", {1}, {3}, &r);
     },
     kRefusedInput, "both mask and lengths given"},
};

const BadCall kSequences[] = {
    {"overlapping",
     [](auto& r) {
       PackSequences(r, {0, 4, 3, 6}, {0, 2, 4, 6});
     },
     kRefusedInput, "mask.cu_seqlens_q[2] is 3, less than the one before, 4"},
    {"overlapping_keys",
     [](auto& r) {
       PackSequences(r, {0, 2, 4, 6}, {0, 4, 3, 6});
     },
     kRefusedInput, "mask.cu_seqlens_k[2] is 3"},
    {"of_other_counts",
     [](auto& r) {
       PackSequences(r, {0, 4, 6}, {0, 6});
     },
     kRefusedInput, "mask.cu_seqlens_q has 3 values and mask.cu_seqlens_k 2"},
    {"that_end_early",
     [](auto& r) {
       PackSequences(r, {0, 4}, {0, 6});
     },
     kRefusedInput, "mask.cu_seqlens_q ends at 4, allowed: the number of tokens, 6"},
};

const BadCall kTrees[] = {
    {"too_deep",
     [](auto& r) {
       v1::MaskExpression* node = &Expression(r);
       for (int i = 1; i < 17; ++i) node = node->mutable_negation();
       node->mutable_causal();
     },
     kRefusedInput, "nests deeper than 16 operators"},
    {"too_deep_for_protobuf",
     [](auto& r) {
       v1::MaskExpression* node = &Expression(r);
       for (int i = 1; i < 1000; ++i) node = node->mutable_negation();
       node->mutable_causal();
     },
     kRefusedInput, "nested too deep"},
    {"too_large",
     [](auto& r) {
       for (int i = 0; i < 64; ++i) Expression(r).mutable_any_of()->add_args()->mutable_causal();
     },
     kRefusedInput, "more than 64 operators in one mask"},
    {"far_too_large",
     [](auto& r) {
       for (int i = 0; i < 100'000; ++i) Expression(r).mutable_any_of()->add_args();
     },
     kRefusedInput, "mask.expression.or[0]: no operator is set"},
    {"empty", [](auto& r) { Expression(r); }, kRefusedInput, "mask.expression: no operator is set"},
    {"list_of_nothing", [](auto& r) { Expression(r).mutable_all_of(); }, kRefusedInput,
     "mask.expression.and: has no args"},
    {"offset_without_arg", [](auto& r) { Expression(r).mutable_offset()->set_q(1); }, kRefusedInput,
     "mask.expression.offset: arg is missing"},
    {"offset_beyond_bounds",
     [](auto& r) {
       Expression(r).mutable_causal();
       r.mutable_mask()->set_q_offset(std::numeric_limits<int64_t>::max());
     },
     kRefusedInput, "mask: q_offset is 9223372036854775807, allowed: "},
    {"offsets_without_an_expression", [](auto& r) { r.mutable_mask()->set_q_offset(3); },
     kRefusedInput, "mask.q_offset: 3 without mask.expression"},
    {"unknown_function", [](auto& r) { Expression(r).mutable_function()->set_name("nonesuch"); },
     kRefusedInput, "unknown mask function 'nonesuch'"},
    {"unknown_operator",
     [](auto& r) {
       v1::MaskExpression& node = Expression(r);
       node.GetReflection()->MutableUnknownFields(&node)->AddLengthDelimited(31, "");
     },
     kRefusedInput, "unknown field MaskExpression.31"},
};

const BadCall kBlocks[] = {
    {"index_out_of_range",
     [](auto& r) {
       SetBlocks(r, {1, 2, 1}, {0, 0, 0, 0, 3, 0, 0, 0, 0});
     },
     kRefusedInput,
     "mask.expression.blocks: kv_indices 'indices'[0, 0, 1, 1] is 3, allowed: 0 to 2"},
    {"index_negative",
     [](auto& r) {
       SetBlocks(r, {1, 1, 1}, {-1, 0, 0, 0, 0, 0, 0, 0, 0});
     },
     kRefusedInput, "kv_indices 'indices'[0, 0, 0, 0] is -1"},
    {"count_out_of_range",
     [](auto& r) {
       SetBlocks(r, {1, 4, 1}, {0, 0, 0, 0, 0, 0, 0, 0, 0});
     },
     kRefusedInput, "kv_num_blocks 'counts'[0, 0, 1] is 4, allowed: 0 to 3"},
    {"listed_twice",
     [](auto& r) {
       SetBlocks(r, {1, 1, 2}, {0, 0, 0, 0, 0, 0, 1, 1, 0});
     },
     kRefusedInput, "kv_indices 'indices'[0, 0, 2, 1] is 1"},
    {"partial_and_full",
     [](auto& r) {
       SetBlocks(r, {1, 1, 1}, {0, 0, 0, 1, 0, 0, 2, 0, 0}, {0, 1, 0}, {0, 0, 0, 1, 0, 0, 0, 0, 0});
     },
     kRefusedInput, "'full_indices'[0, 0, 1, 0] is 1"},
    {"partial_of_nothing",
     [](auto& r) {
       SetBlocks(r, {1, 1, 1}, {0, 0, 0, 0, 0, 0, 0, 0, 0});
       Expression(r).mutable_blocks()->mutable_partial();
     },
     kRefusedInput, "mask.expression.blocks: no operator is set"},
    {"of_other_sizes",
     [](auto& r) {
       SetBlocks(r, {1, 1, 1}, {0, 0, 0, 0, 0, 0, 0, 0, 0});
       Expression(r).mutable_blocks()->set_block_q(2);
     },
     kRefusedInput, "kv_num_blocks 'counts' has shape [1, 1, 3], allowed: [1, 1 or 2, 2]"},
};

const BadCall kModifiers[] = {
    {"bias_of_a_wrong_shape",
     [](auto& r) {
       AddTensor(&r, "b", {1, 2, 3, 4});
       r.mutable_modifiers()->set_bias("b");
     },
     kRefusedInput, "modifiers.bias: tensor `b` has the shape [1, 2, 3, 4]"},
    {"slopes_of_a_wrong_shape",
     [](auto& r) {
       AddTensor(&r, "a", {3});
       r.mutable_modifiers()->set_alibi_slopes("a");
     },
     kRefusedInput, "modifiers.alibi_slopes: tensor `a` has the shape [3]"},
    {"sinks_of_a_wrong_shape",
     [](auto& r) {
       AddTensor(&r, "s", {1, 2});
       r.mutable_modifiers()->set_sinks("s");
     },
     kRefusedInput, "modifiers.sinks: tensor `s` has the shape [1, 2]"},
    {"softcap_negative", [](auto& r) { r.mutable_modifiers()->set_softcap(-1); }, kRefusedInput,
     "modifiers.softcap is -1, allowed: "},
};

const BadCall kAround[] = {
    {"gate_of_a_wrong_shape",
     [](auto& r) {
       AddTensor(&r, "g", {1, 2, 3});
       r.mutable_gate()->set_form(v1::OutputGate::SIGMOID);
       r.mutable_gate()->set_tensor("g");
     },
     kRefusedInput, "gate.tensor 'g': shape [1, 2, 3] not allowed, allowed: [1, 3, 2]"},
    {"gate_without_a_form",
     [](auto& r) {
       AddTensor(&r, "g", {1, 3, 2});
       r.mutable_gate()->set_tensor("g");
     },
     kRefusedInput, "gate.form: not given"},
    {"gated_value_without_a_gate",
     [](auto& r) { r.mutable_skip_scores()->set_mode(v1::SkipScores::GATED_VALUE); }, kRefusedInput,
     "GATED_VALUE without a gate"},
    {"weight_above_1",
     [](auto& r) {
       AddTensor("w", {{1}, {1.5F}}, &r);
       r.mutable_skip_scores()->set_mode(v1::SkipScores::VALUE);
       r.mutable_skip_scores()->set_sample_weights("w");
     },
     kRefusedInput, "the weight of sample 0 is 1.5, allowed: 0 to 1"},
    {"weight_nan",
     [](auto& r) {
       AddTensor("w", {{1}, {std::numeric_limits<float>::quiet_NaN()}}, &r);
       r.mutable_skip_scores()->set_mode(v1::SkipScores::VALUE);
       r.mutable_skip_scores()->set_sample_weights("w");
     },
     kRefusedInput, "the weight of sample 0 is nan"},
    {"skip_mode_unknown",
     [](auto& r) { r.mutable_skip_scores()->set_mode(static_cast<v1::SkipScores::Mode>(7)); },
     kRefusedInput, "skip_scores.mode: 7 is unknown"},
    {"rotary_tables_too_short",
     [](auto& r) {
       AddTensor(&r, "c", {3, 2});
       AddTensor(&r, "s", {3, 2});
       r.mutable_rotary()->set_form(v1::Rotary::NEOX);
       r.mutable_rotary()->set_cos("c");
       r.mutable_rotary()->set_sin("s");
       r.mutable_rotary()->set_k_offset(1);
     },
     kRefusedInput, "rotary.cos has 3 rows, allowed: 4 or more"},
    {"replicated_of_other_heads",
     [](auto& r) {
       for (const char* name : {"tq", "tk", "tv"}) AddTensor(&r, name, {1, 3, 1, 4});
       r.mutable_replicated()->set_q("tq");
       r.mutable_replicated()->set_k("tk");
       r.mutable_replicated()->set_v("tv");
     },
     kRefusedInput, "replicated.q 'tq': shape [1, 3, 1, 4] not allowed, allowed: [1, 2, 1, 4]"},
    {"original_seq_len_beyond", [](auto& r) { r.set_original_seq_len(4); }, kRefusedInput,
     "original_seq_len: 4 not allowed, allowed: 1 to 3"},
};

INSTANTIATE_TEST_SUITE_P(Ids, BadStagesTest, ::testing::ValuesIn(kIds), NameOf);
INSTANTIATE_TEST_SUITE_P(Sequences, BadStagesTest, ::testing::ValuesIn(kSequences), NameOf);
INSTANTIATE_TEST_SUITE_P(Trees, BadStagesTest, ::testing::ValuesIn(kTrees), NameOf);
INSTANTIATE_TEST_SUITE_P(Blocks, BadStagesTest, ::testing::ValuesIn(kBlocks), NameOf);
INSTANTIATE_TEST_SUITE_P(Modifiers, BadStagesTest, ::testing::ValuesIn(kModifiers), NameOf);
INSTANTIATE_TEST_SUITE_P(Around, BadStagesTest, ::testing::ValuesIn(kAround), NameOf);

}  // namespace
}  // namespace attn
