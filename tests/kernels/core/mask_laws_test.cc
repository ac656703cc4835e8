// What holds of any mask expression.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/core/mask_program.h"
#include "tests/kernels/core/evaluated_mask.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

// Two expressions over the tensors of `mask` that say the same of every element.
void ExpectSame(const DrawnMask& mask, const MaskExpressionSpec& left,
                const MaskExpressionSpec& right) {
  const auto evaluated = [&](const MaskExpressionSpec& spec, int64_t b, int64_t head) {
    const auto expression =
        MaskExpression::Create(spec, mask.sizes, mask.tensors.map(), {&StripesFunction()});
    EXPECT_TRUE(expression.ok()) << expression.status();
    const auto program = MaskProgram::Bind(**expression, mask.tensors.map());
    EXPECT_TRUE(program.ok()) << program.status();
    return Evaluated(*program, b, head, {0, mask.sizes.query_len}, {0, mask.sizes.key_len}).words;
  };
  for (int64_t b = 0; b < mask.sizes.batch; ++b) {
    for (int64_t head = 0; head < mask.sizes.heads; ++head) {
      EXPECT_EQ(evaluated(left, b, head), evaluated(right, b, head)) << mask.Describe();
    }
  }
}

constexpr uint64_t kLaws = 60;

MaskNode Not(MaskNode node) { return {mask_op::Not{{std::move(node)}}}; }

TEST(MaskLaws, DeMorganAndDoubleNegation) {
  for (uint64_t seed = 0; seed < kLaws; ++seed) {
    const DrawnMask mask = DrawMask(seed);
    const MaskNode a = mask.spec.root;
    const MaskNode b = {mask_op::BidirectionalWindow{5, ""}};
    const auto at = [&](MaskNode root) {
      return MaskExpressionSpec{std::move(root), mask.spec.q_offset, mask.spec.kv_offset};
    };
    ExpectSame(mask, at(Not({mask_op::All{{a, b}}})), at({mask_op::Any{{Not(a), Not(b)}}}));
    ExpectSame(mask, at(Not({mask_op::Any{{a, b}}})), at({mask_op::All{{Not(a), Not(b)}}}));
    ExpectSame(mask, at(Not(Not(a))), at(a));
  }
}

// Whether a node of the tree counts from the call's first tokens instead of positions.
bool CountsFromTheCall(const MaskNode& node) {
  if (std::holds_alternative<mask_op::Dense>(node.op)) return true;
  if (std::holds_alternative<mask_op::Blocks>(node.op)) return true;
  const std::vector<MaskNode>& args = ArgsOf(node);
  return std::any_of(args.begin(), args.end(), CountsFromTheCall);
}

TEST(MaskLaws, AnOffsetNodeIsAnOffsetOfTheCall) {
  for (uint64_t seed = 0; seed < kLaws; ++seed) {
    const DrawnMask mask = DrawMask(seed);
    if (CountsFromTheCall(mask.spec.root)) continue;
    const auto [root, q_offset, kv_offset] = mask.spec;
    ExpectSame(mask, {{mask_op::Offset{7, -3, {root}}}, q_offset - 7, kv_offset + 3}, mask.spec);
  }
}

TEST(MaskLaws, RemapByIdentityAndRemapOfRemap) {
  for (uint64_t seed = 0; seed < kLaws; ++seed) {
    DrawnMask mask = DrawMask(seed);
    // Tables that are long enough where they were drawn are so at 0.
    if (mask.spec.q_offset < 0 || mask.spec.kv_offset < 0) continue;
    const int64_t length = std::max(mask.sizes.query_len, mask.sizes.key_len);
    std::mt19937_64 random(seed);
    std::vector<int64_t> identity(static_cast<size_t>(length));
    std::iota(identity.begin(), identity.end(), 0);
    std::vector<int64_t> first = identity;
    std::vector<int64_t> second = identity;
    std::shuffle(first.begin(), first.end(), random);
    std::shuffle(second.begin(), second.end(), random);
    std::vector<int64_t> both;
    for (const int64_t position : first) both.push_back(second[static_cast<size_t>(position)]);
    const std::pair<const char*, std::vector<int64_t>*> tables[] = {
        {"identity", &identity}, {"first", &first}, {"second", &second}, {"both", &both}};
    for (const auto& [name, values] : tables) {
      mask.tensors.Add(name, DType::kInt64, {1, length}, *values);
    }
    const MaskNode& root = mask.spec.root;
    ExpectSame(mask, {{mask_op::Remap{"identity", {root}}}}, {root});
    ExpectSame(mask, {{mask_op::Remap{"first", {{mask_op::Remap{"second", {root}}}}}}},
               {{mask_op::Remap{"both", {root}}}});
  }
}

TEST(MaskLaws, PackedSequencesAreSequencesByThemselves) {
  const std::vector<int64_t> lengths = {20, 1, 70, 9};
  DrawnMask packed;
  packed.sizes = {1, 1, 100, 100};
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  for (size_t n = 0; n < lengths.size(); ++n) {
    for (int64_t i = 0; i < lengths[n]; ++i) {
      ids.push_back(static_cast<int64_t>(n));
      positions.push_back(i);
    }
  }
  packed.tensors.Add("ids", DType::kInt32, {1, 100}, ids);
  packed.tensors.Add("positions", DType::kInt32, {1, 100}, positions);
  const MaskNode inner = {mask_op::All{{{mask_op::Causal{}}, {mask_op::Chunked{16, ""}}}}};
  packed.spec.root = {
      mask_op::All{{{mask_op::Packed{"ids"}}, {mask_op::Remap{"positions", {inner}}}}}};
  const TileWords all = Evaluated(Bound(packed), 0, 0, {0, 100}, {0, 100});
  int64_t start = 0;
  for (const int64_t length : lengths) {
    DrawnMask alone;
    alone.sizes = {1, 1, length, length};
    alone.spec.root = inner;
    const TileWords one = Evaluated(Bound(alone), 0, 0, {0, length}, {0, length});
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t j = 0; j < 100; ++j) {
        const bool inside = j >= start && j < start + length;
        EXPECT_EQ(all.at(start + i, j), inside && one.at(i, j - start)) << start + i << " " << j;
      }
    }
    start += length;
  }
}

TEST(MaskLaws, ThePrefixOfACausalMaskIsThatOfAShorterCall) {
  DrawnMask longer;
  longer.sizes = {1, 1, 90, 300};
  longer.spec = {{mask_op::All{{{mask_op::Causal{}}, {mask_op::SlidingWindow{40, ""}}}}}, 200, 0};
  DrawnMask shorter;
  shorter.sizes = {1, 1, 30, 230};
  shorter.spec = longer.spec;
  const TileWords all = Evaluated(Bound(longer), 0, 0, {0, 90}, {0, 300});
  const TileWords part = Evaluated(Bound(shorter), 0, 0, {0, 30}, {0, 230});
  for (int64_t i = 0; i < 30; ++i) {
    for (int64_t j = 0; j < 300; ++j) EXPECT_EQ(all.at(i, j), j < 230 && part.at(i, j));
  }
}

}  // namespace
}  // namespace attn
