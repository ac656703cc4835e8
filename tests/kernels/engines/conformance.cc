#include "tests/kernels/engines/conformance.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/golden/tensor_compare.h"

namespace attn {
namespace {

constexpr DType kFloats[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

using Cases = std::vector<ConformanceCase>;

void AddDTypesAndHeadDims(Cases* cases) {
  for (const DType dtype : kFloats) {
    for (const int64_t dim : {1, 8, 40, 64, 72, 80, 96, 128, 160, 256}) {
      cases->push_back(
          {absl::StrCat(std::string(Name(dtype)), "_d", dim),
           {.query_len = 67, .key_len = 95, .head_dim = dim, .dtype = dtype, .out_dtype = dtype}});
    }
  }
  for (const auto& [dim, value_dim] :
       {std::pair{64, 96}, {192, 128}, {8, 256}, {256, 1}, {1, 17}}) {
    cases->push_back({absl::StrCat("d", dim, "_dv", value_dim),
                      {.query_len = 67, .key_len = 95, .head_dim = dim, .value_dim = value_dim}});
  }
  for (const DType dtype : kFloats) {
    for (const DType out : kFloats) {
      cases->push_back({absl::StrCat(std::string(Name(dtype)), "_to_", std::string(Name(out))),
                        {.query_len = 20, .key_len = 33, .dtype = dtype, .out_dtype = out}});
    }
  }
}

void AddLengths(Cases* cases) {
  for (const auto& [queries, keys] : {std::pair{1, 1},
                                      {1, 300},
                                      {1, 1000},
                                      {2, 127},
                                      {63, 65},
                                      {64, 128},
                                      {65, 129},
                                      {5, 513},
                                      {129, 257},
                                      {300, 1},
                                      {300, 7}}) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      cases->push_back({absl::StrCat(std::string(Name(dtype)), "_sq", queries, "_sk", keys),
                        {.query_len = queries,
                         .key_len = keys,
                         .head_dim = 40,
                         .dtype = dtype,
                         .out_dtype = dtype}});
    }
  }
}

struct NamedMask {
  std::string name;
  int64_t batch;
  int64_t query_len;
  int64_t key_len;
  MaskSpec spec;
};

std::vector<NamedMask> Masks() {
  constexpr auto kTop = CausalAlignment::kTopLeft;
  constexpr auto kBottom = CausalAlignment::kBottomRight;
  return {
      {"causal_square", 1, 150, 150, {.causal = true}},
      {"causal_bottom_more_keys", 1, 70, 200, {.causal = true, .alignment = kBottom}},
      // The first 130 rows see nothing.
      {"causal_bottom_more_queries", 1, 200, 70, {.causal = true, .alignment = kBottom}},
      {"causal_top_more_keys", 1, 70, 200, {.causal = true, .alignment = kTop}},
      {"causal_top_more_queries", 1, 200, 70, {.causal = true, .alignment = kTop}},
      {"window", 1, 180, 190, {.window = Window{20, 5}}},
      {"window_of_the_diagonal", 1, 90, 140, {.window = Window{0, 0}}},
      {"window_left", 1, 90, 140, {.window = Window{30, -1}}},
      {"window_right", 1, 90, 140, {.window = Window{-1, 9}}},
      {"window_empty_rows", 1, 170, 30, {.window = Window{8, 4}}},
      {"window_causal", 1, 300, 300, {.causal = true, .window = Window{40, 3}}},
      {"k_lengths", 3, 40, 150, {.k_lengths = {150, 0, 33}}},
      {"q_lengths", 3, 100, 60, {.q_lengths = {100, 0, 65}}},
      {"lengths_causal",
       3,
       96,
       140,
       {.causal = true, .q_lengths = {96, 70, 50}, .k_lengths = {140, 31, 50}}},
      {"lengths_window_top",
       2,
       96,
       140,
       {.alignment = kTop,
        .window = Window{10, 10},
        .q_lengths = {96, 70},
        .k_lengths = {99, 140}}},
      {"packed",
       1,
       150,
       180,
       {.cu_seqlens_q = {0, 30, 31, 100, 150}, .cu_seqlens_k = {0, 50, 90, 91, 180}}},
      // Sequences without queries, without keys, and one that straddles blocks.
      {"packed_causal_with_empty",
       1,
       200,
       260,
       {.causal = true,
        .cu_seqlens_q = {0, 0, 40, 60, 200},
        .cu_seqlens_k = {0, 60, 60, 110, 260}}},
      {"packed_window",
       1,
       120,
       120,
       {.causal = true,
        .window = Window{12, 0},
        .cu_seqlens_q = {0, 64, 65, 120},
        .cu_seqlens_k = {0, 64, 65, 120}}},
  };
}

void AddMasks(Cases* cases) {
  for (const NamedMask& mask : Masks()) {
    for (const auto& [name, heads, kv_heads] :
         {std::tuple{"", 2, 2}, {"_gqa", 6, 2}, {"_mqa", 4, 1}}) {
      cases->push_back({absl::StrCat(mask.name, name),
                        {.batch = mask.batch,
                         .heads = heads,
                         .kv_heads = kv_heads,
                         .query_len = mask.query_len,
                         .key_len = mask.key_len,
                         .head_dim = 24,
                         .mask = mask.spec,
                         .weights = true}});
    }
  }
  // Few queries: heads that share keys are stacked, also where they do not fill a tile.
  for (const int64_t queries : {1, 3, 20}) {
    cases->push_back({absl::StrCat("decode_gqa_sq", queries),
                      {.batch = 2,
                       .heads = 24,
                       .kv_heads = 2,
                       .query_len = queries,
                       .key_len = 300,
                       .head_dim = 64,
                       .mask = {.causal = true, .k_lengths = {300, 77}}}});
  }
}

void AddNumbers(Cases* cases) {
  const CallShape shape = {.query_len = 70, .key_len = 200};
  const auto add = [&](const std::string& name, double deviation, double scale, DType dtype) {
    CallShape changed = shape;
    changed.deviation = deviation;
    changed.scale = scale;
    changed.dtype = dtype;
    cases->push_back({name, changed});
  };
  add("extreme_logits", 30, 0, DType::kFloat32);
  add("extreme_logits_bf16", 30, 0, DType::kBFloat16);
  add("extreme_logits_fp16", 30, 0, DType::kFloat16);
  add("scale_given", 1, 0.31, DType::kFloat32);
  add("scale_negative", 1, -0.7, DType::kFloat32);
  add("tiny_inputs", 1e-20, 0, DType::kFloat32);
}

void AddLayouts(Cases* cases) {
  int index = 0;
  // The last has d outermost of all: no row is contiguous.
  for (const char* pattern : {"b s h d", "b s (h d)", "h b s d", "s b h d", "d s h b"}) {
    for (const char* out_pattern : {"b h s d", "b s h d", "b h d s"}) {
      for (const DType dtype : {DType::kFloat32, DType::kFloat16}) {
        cases->push_back({absl::StrCat("layout_", index++),
                          {.batch = 2,
                           .heads = 4,
                           .kv_heads = 2,
                           .query_len = 30,
                           .key_len = 50,
                           .head_dim = 20,
                           .dtype = dtype,
                           .out_dtype = dtype,
                           .mask = {.causal = true},
                           .pattern = pattern,
                           .out_pattern = out_pattern}});
      }
    }
  }
}

}  // namespace

std::vector<ConformanceCase> ConformanceCases() {
  Cases cases;
  AddDTypesAndHeadDims(&cases);
  AddLengths(&cases);
  AddMasks(&cases);
  AddNumbers(&cases);
  AddLayouts(&cases);
  return cases;
}

double UnitRoundoff(const std::string& precision) {
  return std::ldexp(1.0, precision == "fp64" ? -53 : -24);
}

// With unit roundoff u, D dimensions, n keys and S the largest sum over d of |scale * q_d * k_d|:
//  score   a dot product in sequence errs by at most (D + 2) u S; rounding errors have random
//          signs, so that its root mean square is about sqrt(D) u S. Subtracting the maximum and
//          storing add u S each.
//  weight  exp turns an absolute error of its argument into a relative one: numerator and
//          denominator give twice that of a score, exp itself 4 u.
//  output  sum of n weighted values, rescaled once a panel: (n + 2 n / 128) u at most, about
//          sqrt(n) u typically, relative to sum |w v|, which is at most max |v|.
//  LSE     absolute error of a score, and rounding of its own size to fp32.
// Stored outputs add half an ulp of their dtype, and half the smallest subnormal of fp16.
Tolerance ToleranceOf(const AttentionProblem& problem, const OracleResult& oracle, double unit) {
  const auto dim = static_cast<double>(problem.head_dim);
  const auto keys = static_cast<double>(problem.key_len);
  const double score = oracle.largest_score * unit;
  const double half_ulp = Epsilon(problem.out_dtype) / 2;
  // Of normal values; the largest of a few thousand stays below 5 deviations.
  constexpr double kLargestValue = 5;
  constexpr double kRoundoffFp32 = 0x1p-24;

  const double worst_weight = 2 * (dim + 4) * score + 8 * unit;
  const double typical_weight = 2 * (std::sqrt(dim) + 4) * score + 8 * unit;
  double largest_lse = 1;
  for (const double lse : oracle.lse) {
    if (std::isfinite(lse)) largest_lse = std::max(largest_lse, std::abs(lse));
  }
  Tolerance tolerance;
  tolerance.max_abs = (worst_weight + 2 * keys * unit + half_ulp) * kLargestValue + 0x1p-25;
  // The few largest scores dominate a row: 2 covers what averaging over elements leaves.
  tolerance.rel_l2 = 2 * (typical_weight + std::sqrt(keys) * unit) + half_ulp;
  tolerance.lse_abs = (dim + 4) * score + keys * unit + 2 * largest_lse * kRoundoffFp32;
  tolerance.weight_abs = worst_weight + kRoundoffFp32;
  return tolerance;
}

std::string Disagreement(const OwnedCall& actual, const OracleResult& oracle, double unit) {
  const Tolerance tolerance = ToleranceOf(actual.call.problem, oracle, unit);
  const Difference out = Compare(actual.out.Values(), oracle.out);
  const Difference lse = Compare(actual.lse.Values(), oracle.lse);
  if (!(out.rel_l2 <= tolerance.rel_l2) || !(out.max_abs <= tolerance.max_abs)) {
    return absl::StrCat("out: rel_l2 ", out.rel_l2, " of ", tolerance.rel_l2, ", max_abs ",
                        out.max_abs, " of ", tolerance.max_abs, ", first difference at ",
                        out.first_mismatch);
  }
  if (!(lse.max_abs <= tolerance.lse_abs)) {
    return absl::StrCat("lse: max_abs ", lse.max_abs, " of ", tolerance.lse_abs);
  }
  if (actual.call.weights.empty()) return "";
  const Difference weights = Compare(actual.weights.Values(), oracle.weights);
  if (!(weights.max_abs <= tolerance.weight_abs)) {
    return absl::StrCat("weights: max_abs ", weights.max_abs, " of ", tolerance.weight_abs);
  }
  return "";
}

}  // namespace attn
