// What must hold of expressions and score modifiers whatever the inputs are.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "client/golden/tensor_compare.h"
#include "client/lse_merge.h"
#include "tests/kernels/engines/engine_test.h"

namespace attn {
namespace {

MaskNode And(MaskNode a, MaskNode b) { return {mask_op::All{{std::move(a), std::move(b)}}}; }
MaskNode Or(MaskNode a, MaskNode b) { return {mask_op::Any{{std::move(a), std::move(b)}}}; }
MaskNode Not(MaskNode arg) { return {mask_op::Not{{std::move(arg)}}}; }

// Replaces the expression of a call, whose tensors are those of `call.expression`.
void SetExpression(OwnedCall& call, MaskExpressionSpec spec) {
  call.expression.spec = std::move(spec);
  call.expression.sizes = call.call.problem.sizes();
  call.call.problem.expression = call.expression.Create();
  for (const auto& [name, view] : call.expression.tensors.map()) call.call.extra[name] = view;
}

class MaskProperties : public EngineTest {
 protected:
  // Equal to rounding.
  void ExpectEqual(const OwnedCall& a, const OwnedCall& b, const std::string& what = "") const {
    const Difference out = Compare(a.out.Values(), b.out.Values());
    EXPECT_LT(out.rel_l2, rel_l2()) << what;
    EXPECT_LT(Compare(a.lse.Values(), b.lse.Values()).max_abs, lse_abs()) << what;
  }
  void ExpectDifferent(const OwnedCall& a, const OwnedCall& b) const {
    EXPECT_GT(Compare(a.out.Values(), b.out.Values()).rel_l2, 0.01);
  }

  // Runs the same inputs under each of them and expects equal results.
  void ExpectEqualUnder(const CallShape& shape, const MaskExpressionSpec& one,
                        const MaskExpressionSpec& other, const std::string& what) const {
    OwnedCall a(Shape(shape));
    OwnedCall b(Shape(shape));
    SetExpression(a, one);
    SetExpression(b, other);
    Run(a);
    Run(b);
    ExpectEqual(a, b, what);
  }
};

INSTANTIATE_TEST_SUITE_P(Engines, MaskProperties,
                         testing::ValuesIn(TestedEngines({DType::kFloat32, DType::kBFloat16})),
                         EngineName);

TEST_P(MaskProperties, PackedIdsAreSeparateCalls) {
  const std::vector<int64_t> ends = {0, 70, 71, 200, 230};
  OwnedCall packed(Shape({.query_len = 230, .key_len = 230}));
  std::vector<int64_t> ids;
  for (size_t n = 0; n + 1 < ends.size(); ++n) {
    ids.resize(static_cast<size_t>(ends[n + 1]), 10 - static_cast<int64_t>(n));
  }
  packed.expression.tensors.Add("ids", DType::kInt32, {1, 230}, ids);
  SetExpression(packed, {And({mask_op::Causal{}}, {mask_op::Packed{"ids"}})});
  Run(packed);
  for (size_t n = 0; n + 1 < ends.size(); ++n) {
    const int64_t tokens = ends[n + 1] - ends[n];
    OwnedCall part(Shape({.query_len = tokens, .key_len = tokens, .mask = {.causal = true}}));
    CopyTokens(packed.q, ends[n], tokens, part.q);
    CopyTokens(packed.k, ends[n], tokens, part.k);
    CopyTokens(packed.v, ends[n], tokens, part.v);
    Run(part);
    for (int64_t s = 0; s < tokens; ++s) {
      EXPECT_LT(Compare(OutRow(packed, 0, 1, ends[n] + s), OutRow(part, 0, 1, s)).rel_l2,
                2 * rel_l2())
          << "row " << s << " of " << n;
      EXPECT_NEAR(packed.lse.At(0, 1, ends[n] + s, 0), part.lse.At(0, 1, s, 0), lse_abs());
    }
  }
}

TEST_P(MaskProperties, PackedIdsAreCuSeqlens) {
  OwnedCall ids(Shape({.query_len = 100, .key_len = 100}));
  std::vector<int64_t> values(100, 3);
  std::fill_n(values.begin(), 40, 8);
  ids.expression.tensors.Add("ids", DType::kInt64, {1, 100}, values);
  SetExpression(ids, {{mask_op::Packed{"ids"}}});
  OwnedCall sequences(
      Shape({.query_len = 100,
             .key_len = 100,
             .mask = {.cu_seqlens_q = {0, 40, 100}, .cu_seqlens_k = {0, 40, 100}}}));
  Run(ids);
  Run(sequences);
  ExpectEqual(ids, sequences);
}

// What a server does with a long prompt: each chunk sees the cache before it and itself.
TEST_P(MaskProperties, ChunksBehindACacheAreThePrompt) {
  OwnedCall prompt(Shape({.query_len = 300, .key_len = 300}));
  const MaskNode mask = And({mask_op::Causal{}}, {mask_op::SlidingWindow{.window = 90}});
  SetExpression(prompt, {mask});
  Run(prompt);
  for (const auto& [first, tokens, dropped] :
       {std::tuple{0, 100, 0}, {100, 128, 0}, {228, 72, 138}, {299, 1, 200}}) {
    OwnedCall chunk(Shape({.query_len = tokens, .key_len = first + tokens - dropped}));
    CopyTokens(prompt.q, first, tokens, chunk.q);
    CopyTokens(prompt.k, dropped, first + tokens - dropped, chunk.k);
    CopyTokens(prompt.v, dropped, first + tokens - dropped, chunk.v);
    SetExpression(chunk, {mask, first, dropped});
    Run(chunk);
    for (int64_t s = 0; s < tokens; ++s) {
      EXPECT_LT(Compare(OutRow(chunk, 0, 0, s), OutRow(prompt, 0, 0, first + s)).rel_l2,
                2 * rel_l2())
          << "row " << s << " from " << first;
      EXPECT_NEAR(chunk.lse.At(0, 0, s, 0), prompt.lse.At(0, 0, first + s, 0), lse_abs());
    }
  }
}

TEST_P(MaskProperties, EqualTreesAreEqualMasks) {
  const MaskNode causal = {mask_op::Causal{}};
  const MaskNode near = {mask_op::BidirectionalWindow{.window = 20}};
  const MaskNode chunked = {mask_op::Chunked{.chunk = 30}};
  const auto shifted = [](int64_t q, int64_t kv, MaskNode arg) {
    return MaskNode{mask_op::Offset{q, kv, {std::move(arg)}}};
  };
  struct Row {
    const char* what;
    MaskExpressionSpec one;
    MaskExpressionSpec other;
  };
  const Row rows[] = {
      {"De Morgan, and", {Not(And(causal, near))}, {Or(Not(causal), Not(near))}},
      {"De Morgan, or", {Not(Or(near, chunked))}, {And(Not(near), Not(chunked))}},
      {"not not", {Not(Not(Or(near, chunked)))}, {Or(near, chunked)}},
      {"distribution",
       {And(chunked, Or(causal, near))},
       {Or(And(chunked, causal), And(chunked, near))}},
      {"a shift is an offset", {shifted(17, -3, Or(chunked, near))}, {Or(chunked, near), 17, -3}},
      {"shifts add up", {shifted(9, 1, shifted(8, -4, chunked))}, {shifted(17, -3, chunked)}},
      {"of the relative a common shift is none",
       {shifted(55, 55, And(causal, near))},
       {And(causal, near)}},
      {"a window of both sides",
       {And({mask_op::SlidingWindow{.window = 21}}, shifted(20, 0, causal))},
       {near}},
  };
  for (const Row& row : rows) {
    for (const int64_t queries : {1, 130}) {
      ExpectEqualUnder({.query_len = queries, .key_len = 160}, row.one, row.other,
                       std::string(row.what) + ", queries " + std::to_string(queries));
    }
  }
}

TEST_P(MaskProperties, ADenseMaskThatIsCausalIsCausal) {
  for (const DType dtype : {DType::kUint8, DType::kBits}) {
    OwnedCall dense(Shape({.query_len = 90, .key_len = 170}));
    std::vector<int64_t> values;
    for (int64_t i = 0; i < 90; ++i) {
      for (int64_t j = 0; j < 170; ++j) values.push_back(j <= i + 80 ? 1 : 0);
    }
    dense.expression.tensors.Add("mask", dtype, {1, 1, 90, 170}, values);
    SetExpression(dense, {{mask_op::Dense{"mask"}}});
    OwnedCall causal(Shape({.query_len = 90, .key_len = 170, .mask = {.causal = true}}));
    OwnedCall node(Shape({.query_len = 90, .key_len = 170}));
    SetExpression(node, {{mask_op::Causal{}}, 80, 0});
    Run(dense);
    Run(causal);
    Run(node);
    ExpectEqual(dense, causal);
    ExpectEqual(node, causal);
  }
}

TEST_P(MaskProperties, ASoftcapFarAboveTheScoresIsNone) {
  const CallShape shape = {.query_len = 70, .key_len = 200};
  OwnedCall none(Shape(shape));
  Run(none);
  for (const double softcap : {1e5, 1e9, 1e30}) {
    CallShape capped_shape = shape;
    capped_shape.modifiers.softcap = softcap;
    OwnedCall capped(Shape(capped_shape));
    Run(capped);
    ExpectEqual(capped, none, std::to_string(softcap));
  }
  CallShape low = shape;
  low.modifiers.softcap = 0.5;
  OwnedCall capped(Shape(low));
  Run(capped);
  ExpectDifferent(capped, none);
}

// No score is above a tiny softcap: all weights are equal.
TEST_P(MaskProperties, ATinySoftcapGivesTheMean) {
  OwnedCall call(Shape({.query_len = 40, .key_len = 64, .modifiers = {.softcap = 1e-30}}));
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t j = 0; j < 64; ++j) SetRow(call.v, 0, h, j, static_cast<double>(j % 8));
  }
  Run(call);
  for (int64_t i = 0; i < 40; ++i) {
    EXPECT_NEAR(call.out.At(0, 1, i, 5), 3.5, 1e-5);
    EXPECT_NEAR(call.lse.At(0, 1, i, 0), std::log(64.0), lse_abs());
  }
}

TEST_P(MaskProperties, AlibiIsABiasOfDistances) {
  for (const int64_t queries : {1, 75}) {
    const CallShape shape = {.query_len = queries, .key_len = 130, .mask = {.causal = true}};
    CallShape with_slopes = shape;
    with_slopes.modifiers.slopes_rank = 1;
    OwnedCall alibi(Shape(with_slopes));
    CallShape with_bias = shape;
    with_bias.modifiers.bias = {1, 2, queries, 130};
    OwnedCall bias(Shape(with_bias));
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < queries; ++i) {
        for (int64_t j = 0; j < 130; ++j) {
          const double distance = std::abs(static_cast<double>(i + 130 - queries - j));
          bias.bias.Set(0, h, i, j, -alibi.slopes.At(0, 0, 0, h) * distance);
        }
      }
    }
    Run(alibi);
    Run(bias);
    ExpectEqual(alibi, bias);
    OwnedCall none(Shape(shape));
    Run(none);
    ExpectDifferent(alibi, none);
  }
}

TEST_P(MaskProperties, ABiasOfMinusInfinityHidesFiniteValues) {
  CallShape shape = {.query_len = 100, .key_len = 150, .modifiers = {.bias = {1, 1, 100, 150}}};
  OwnedCall bias(Shape(shape));
  for (int64_t i = 0; i < 100; ++i) {
    for (int64_t j = 0; j < 150; ++j) bias.bias.Set(0, 0, i, j, j <= i - 20 ? 0 : -kInfinity);
  }
  OwnedCall mask(Shape({.query_len = 100, .key_len = 150}));
  SetExpression(mask, {{mask_op::Causal{}}, 0, 20});
  Run(bias);
  Run(mask);
  ExpectEqual(bias, mask);
}

// A float mask is a bias: where it is the lowest number throughout, scores round to it.
TEST_P(MaskProperties, ARowOfTheLowestNumberIsTheMean) {
  OwnedCall call(Shape({.query_len = 20, .key_len = 64, .modifiers = {.bias = {1, 1, 20, 64}}}));
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t j = 0; j < 64; ++j) SetRow(call.v, 0, h, j, static_cast<double>(j % 8));
  }
  constexpr double kLowest = std::numeric_limits<float>::lowest();
  for (int64_t i = 0; i < 20; ++i) {
    for (int64_t j = 0; j < 64; ++j) {
      call.bias.Set(0, 0, i, j, i < 10 || j % 8 != 3 ? kLowest : 0);
    }
  }
  Run(call);
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_NEAR(call.out.At(0, 1, i, 0), i < 10 ? 3.5 : 3, 1e-5) << i;
  }
}

TEST_P(MaskProperties, PartsMergedByLseAreTheWholeWithItsSinksOnce) {
  CallShape shape = {.query_len = 60, .key_len = 200, .head_dim = 16, .modifiers = {.sinks = true}};
  OwnedCall whole(Shape(shape));
  Run(whole);
  std::vector<std::vector<float>> outs;
  std::vector<std::vector<float>> lses;
  const std::vector<int64_t> cuts = {0, 30, 31, 200};
  for (size_t n = 0; n + 1 < cuts.size(); ++n) {
    const int64_t keys = cuts[n + 1] - cuts[n];
    CallShape part_shape = shape;
    part_shape.key_len = keys;
    part_shape.modifiers.sinks = n == 1;
    OwnedCall part(Shape(part_shape));
    part.call.q = whole.call.q;
    CopyTokens(whole.k, cuts[n], keys, part.k);
    CopyTokens(whole.v, cuts[n], keys, part.v);
    if (n == 1) part.call.extra = whole.call.extra;
    Run(part);
    const std::vector<double> out = part.out.Values();
    const std::vector<double> lse = part.lse.Values();
    outs.emplace_back(out.begin(), out.end());
    lses.emplace_back(lse.begin(), lse.end());
  }
  std::vector<PartialAttention> parts;
  for (size_t n = 0; n < outs.size(); ++n) parts.push_back({outs[n], lses[n]});
  std::vector<float> out(outs[0].size());
  std::vector<float> lse(lses[0].size());
  ASSERT_TRUE(MergePartials(parts, out, lse).ok());
  EXPECT_LT(Compare(std::vector<double>(out.begin(), out.end()), whole.out.Values()).rel_l2,
            rel_l2());
  EXPECT_LT(Compare(std::vector<double>(lse.begin(), lse.end()), whole.lse.Values()).max_abs,
            lse_abs());
}

TEST_P(MaskProperties, ASinkIsAKeyWithoutAValue) {
  CallShape shape = {.query_len = 50, .key_len = 80, .modifiers = {.sinks = true}};
  OwnedCall sinks(Shape(shape));
  Run(sinks);
  shape.modifiers.sinks = false;
  OwnedCall none(Shape(shape));
  Run(none);
  // out = out without it * sigmoid(lse - sink).
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t i = 0; i < 50; ++i) {
      const double gap = none.lse.At(0, h, i, 0) - sinks.sinks.At(0, 0, 0, h);
      std::vector<double> expected = OutRow(none, 0, h, i);
      for (double& value : expected) value /= 1 + std::exp(-gap);
      EXPECT_LT(Compare(OutRow(sinks, 0, h, i), expected).rel_l2, 2 * rel_l2());
      EXPECT_NEAR(sinks.lse.At(0, h, i, 0), none.lse.At(0, h, i, 0) + std::log1p(std::exp(-gap)),
                  2 * lse_abs());
    }
  }
}

}  // namespace
}  // namespace attn
