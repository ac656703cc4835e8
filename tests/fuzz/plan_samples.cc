#include "tests/fuzz/plan_samples.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace attn {
namespace {

constexpr double kNanElement = std::numeric_limits<double>::quiet_NaN();
constexpr DType kFloats[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16};

MaskSpec DrawMask(ByteSource& source, int64_t batch, int64_t key_len) {
  MaskSpec spec;
  spec.causal = source.Chance(2);
  if (source.Chance(2)) spec.window = Window{source.Draw(-1, 40), source.Draw(-1, 40)};
  if (source.Chance(3)) {
    for (int64_t b = 0; b < batch; ++b) spec.k_lengths.push_back(source.Draw(0, key_len));
  }
  return spec;
}

std::unique_ptr<OwnedCall> DrawCall(ByteSource& source) {
  CallShape shape;
  shape.batch = source.Draw(1, 2);
  shape.kv_heads = source.Draw(1, 2);
  shape.heads = shape.kv_heads * source.Draw(1, 3);
  // Seldom long: most of what can go wrong needs few tokens.
  shape.query_len = source.Draw(1, source.Chance(8) ? 600 : 70);
  shape.key_len = source.Draw(1, shape.query_len <= 70 && source.Chance(8) ? 600 : 70);
  shape.head_dim = source.Draw(1, 40);
  shape.value_dim = source.Draw(1, 40);
  shape.dtype = kFloats[source.Draw(0, 2)];
  shape.mask = DrawMask(source, shape.batch, shape.key_len);
  shape.padding = source.Draw(0, 1);
  shape.seed = static_cast<uint64_t>(source.Draw(1, 255));
  if (source.Chance(4)) shape.scale = static_cast<double>(source.Draw(-3, 3));
  if (source.Chance(8)) shape.deviation = 30;
  auto call = std::make_unique<OwnedCall>(shape);
  if (source.Chance(4)) {
    OwnedTensor& tensor = source.Chance(2) ? call->k : call->v;
    tensor.Set(0, 0, source.Draw(0, shape.key_len - 1), 0, kNanElement);
  }
  return call;
}

std::vector<int32_t> DrawOffsets(ByteSource& source, int64_t tokens) {
  const int64_t largest = source.Draw(1, std::min<int64_t>(tokens, 300));
  std::vector<int32_t> offsets = {0};
  while (offsets.back() < tokens) {
    const int64_t block = std::min(source.Draw(1, largest), tokens - offsets.back());
    offsets.push_back(static_cast<int32_t>(offsets.back() + block));
  }
  return offsets;
}

std::vector<int32_t> DrawPermutation(ByteSource& source, int64_t tokens) {
  if (source.Chance(2)) return {};
  std::vector<int32_t> permutation(static_cast<size_t>(tokens));
  std::iota(permutation.begin(), permutation.end(), 0);
  for (size_t i = permutation.size() - 1; i > 0; --i) {
    std::swap(permutation[i],
              permutation[static_cast<size_t>(source.Draw(0, static_cast<int64_t>(i)))]);
  }
  return permutation;
}

PlanEntry DrawEntry(ByteSource& source, int64_t key_block, int64_t words,
                    std::vector<uint64_t>* bit_tiles) {
  PlanEntry entry = {.key_block = static_cast<int32_t>(key_block)};
  switch (source.Draw(0, 4)) {
    case 0:
      entry.level = static_cast<int16_t>(source.Draw(2, 127));
      break;
    case 1:
      entry.mask = BlockMask::kPredicate;
      break;
    case 2:
      entry.mask = BlockMask::kBits;
      entry.bits = static_cast<int64_t>(bit_tiles->size());
      for (int64_t i = 0; i < words; ++i) {
        bit_tiles->push_back(static_cast<uint64_t>(
            source.Draw(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max())));
      }
      break;
    default:
      break;
  }
  return entry;
}

BlockPlan DrawPlan(ByteSource& source, const AttentionProblem& problem) {
  BlockPlan plan;
  plan.batch = source.Chance(2) ? problem.batch : 1;
  plan.heads = source.Chance(2) ? problem.heads : 1;
  plan.q_permutation = DrawPermutation(source, problem.query_len);
  plan.k_permutation = DrawPermutation(source, problem.key_len);
  plan.q_offsets = DrawOffsets(source, problem.query_len);
  plan.k_offsets = DrawOffsets(source, problem.key_len);
  plan.row_begin = {0};
  const int64_t one_in = source.Draw(1, 3);
  for (int64_t row = 0; row < plan.batch * plan.heads * plan.query_blocks(); ++row) {
    const auto q = static_cast<size_t>(row % plan.query_blocks());
    for (int64_t block = 0; block < plan.key_blocks(); ++block) {
      if (!source.Chance(one_in)) continue;
      const auto k = static_cast<size_t>(block);
      const int64_t queries = plan.q_offsets[q + 1] - plan.q_offsets[q];
      const int64_t keys = plan.k_offsets[k + 1] - plan.k_offsets[k];
      plan.entries.push_back(
          DrawEntry(source, block, queries * ((keys + 63) / 64), &plan.bit_tiles));
    }
    plan.row_begin.push_back(static_cast<int64_t>(plan.entries.size()));
  }
  return plan;
}

// Near what is allowed, or anything.
template <typename Number>
Number DrawBroken(ByteSource& source) {
  if (source.Chance(2)) return static_cast<Number>(source.Draw(-2, 80));
  return static_cast<Number>(
      source.Draw(std::numeric_limits<Number>::min(), std::numeric_limits<Number>::max()));
}

// One element becomes another, or the list loses or gains one.
template <typename Number>
void Damage(ByteSource& source, std::vector<Number>* list) {
  const int64_t kind = source.Draw(0, 5);
  if (kind == 0) {
    list->push_back(DrawBroken<Number>(source));
  } else if (kind == 1 && !list->empty()) {
    list->pop_back();
  } else if (!list->empty()) {
    const auto last = static_cast<int64_t>(list->size()) - 1;
    (*list)[static_cast<size_t>(source.Draw(0, last))] = DrawBroken<Number>(source);
  }
}

void DamageEntry(ByteSource& source, BlockPlan* plan) {
  if (plan->entries.empty()) return;
  const auto last = static_cast<int64_t>(plan->entries.size()) - 1;
  PlanEntry& entry = plan->entries[static_cast<size_t>(source.Draw(0, last))];
  switch (source.Draw(0, 4)) {
    case 0:
      entry.key_block = DrawBroken<int32_t>(source);
      break;
    case 1:
      entry.level = DrawBroken<int16_t>(source);
      break;
    case 2:
      entry.mask = static_cast<BlockMask>(source.Draw(0, 255));
      break;
    case 3:
      entry.bits = DrawBroken<int64_t>(source);
      break;
    default:
      plan->entries.pop_back();
  }
}

void DamagePlan(ByteSource& source, BlockPlan* plan) {
  switch (source.Draw(0, 12)) {
    case 0:
      return Damage(source, &plan->q_permutation);
    case 1:
      return Damage(source, &plan->k_permutation);
    case 2:
      return Damage(source, &plan->q_offsets);
    case 3:
      return Damage(source, &plan->k_offsets);
    case 4:
      return Damage(source, &plan->row_begin);
    case 5:
      plan->bit_tiles.resize(
          static_cast<size_t>(source.Draw(0, static_cast<int64_t>(plan->bit_tiles.size()))));
      return;
    case 6:
      plan->batch = DrawBroken<int64_t>(source);
      return;
    case 7:
      plan->heads = DrawBroken<int64_t>(source);
      return;
    default:
      return DamageEntry(source, plan);
  }
}

}  // namespace

int64_t ByteSource::Draw(int64_t low, int64_t high) {
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  const int bytes = range < 0x100 ? 1 : range < 0x10000 ? 2 : 8;
  const uint64_t bits = DrawBits(bytes);
  const uint64_t offset = range == std::numeric_limits<uint64_t>::max() ? bits : bits % (range + 1);
  return static_cast<int64_t>(static_cast<uint64_t>(low) + offset);
}

uint64_t ByteSource::DrawBits(int bytes) {
  uint64_t bits = 0;
  for (int i = 0; i < bytes && !bytes_.empty(); ++i) {
    bits = bits << 8 | bytes_.front();
    bytes_ = bytes_.subspan(1);
  }
  return bits;
}

PlanSample ReadPlanSample(ByteSource& source) {
  PlanSample sample;
  const int64_t damages = std::max<int64_t>(0, source.Draw(-3, 3));
  sample.damaged = damages > 0;
  sample.call = DrawCall(source);
  sample.plan = DrawPlan(source, sample.call->call.problem);
  for (int64_t i = 0; i < damages; ++i) DamagePlan(source, &sample.plan);
  return sample;
}

}  // namespace attn
