#include "tests/kernels/engines/conformance_cases.h"

#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace attn {
namespace {

constexpr DType kFloats[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16};

using Cases = std::vector<ConformanceCase>;

// A case with inputs and output of a dtype.
void Add(const std::string& name, DType dtype, CallShape shape, Cases* cases) {
  shape.dtype = dtype;
  shape.out_dtype = dtype;
  cases->push_back({absl::StrCat(name, "_", Name(dtype)), std::move(shape)});
}

void AddToAll(const std::string& name, const CallShape& shape, Cases* cases) {
  for (const DType dtype : kFloats) Add(name, dtype, shape, cases);
}

void AddDTypesAndHeadDims(Cases* cases) {
  for (const int64_t dim : {1, 8, 17, 40, 64, 72, 80, 96, 128, 160, 256}) {
    AddToAll(absl::StrCat("d", dim), {.query_len = 67, .key_len = 95, .head_dim = dim}, cases);
  }
  for (const auto& [dim, value_dim] :
       {std::pair{64, 96}, {192, 128}, {8, 256}, {256, 1}, {1, 17}, {72, 40}}) {
    AddToAll(absl::StrCat("d", dim, "_dv", value_dim),
             {.query_len = 67, .key_len = 95, .head_dim = dim, .value_dim = value_dim}, cases);
  }
  for (const DType dtype : kFloats) {
    for (const DType out : kFloats) {
      cases->push_back({absl::StrCat(Name(dtype), "_to_", Name(out)),
                        {.query_len = 20, .key_len = 33, .dtype = dtype, .out_dtype = out}});
    }
  }
}

// Around the edges of tiles, panels and units.
void AddLengths(Cases* cases) {
  for (const auto& [queries, keys] : {std::pair{1, 1},
                                      {1, 17},
                                      {1, 300},
                                      {1, 1000},
                                      {2, 127},
                                      {31, 33},
                                      {32, 256},
                                      {33, 257},
                                      {63, 65},
                                      {64, 128},
                                      {65, 129},
                                      {5, 513},
                                      {129, 257},
                                      {256, 512},
                                      {257, 511},
                                      {300, 1},
                                      {300, 7},
                                      {520, 40}}) {
    AddToAll(absl::StrCat("sq", queries, "_sk", keys),
             {.query_len = queries, .key_len = keys, .head_dim = 40}, cases);
  }
}

// Few queries over many keys, which engines split; heads that share keys are stacked, also where
// they do not fill a tile.
void AddDecoding(Cases* cases) {
  for (const auto& [queries, keys, heads, dim] : {std::tuple{1, 9000, 2, 128},
                                                  {2, 4101, 4, 64},
                                                  {7, 9000, 1, 40},
                                                  {16, 5000, 2, 64},
                                                  {40, 4100, 2, 48}}) {
    CallShape shape = {
        .heads = heads, .kv_heads = 1, .query_len = queries, .key_len = keys, .head_dim = dim};
    AddToAll(absl::StrCat("decode_sq", queries, "_sk", keys), shape, cases);
    shape.mask.causal = true;
    Add(absl::StrCat("decode_causal_sq", queries, "_sk", keys), DType::kFloat32, shape, cases);
    shape.mask.window = Window{700, 0};
    Add(absl::StrCat("decode_window_sq", queries, "_sk", keys), DType::kBFloat16, shape, cases);
  }
  for (const int64_t queries : {1, 3, 20}) {
    AddToAll(absl::StrCat("decode_gqa_lengths_sq", queries),
             {.batch = 2,
              .heads = 24,
              .kv_heads = 2,
              .query_len = queries,
              .key_len = 300,
              .head_dim = 64,
              .mask = {.causal = true, .k_lengths = {300, 77}}},
             cases);
  }
  AddToAll("decode_long_lengths",
           {.batch = 4,
            .heads = 4,
            .kv_heads = 2,
            .query_len = 1,
            .key_len = 2500,
            .head_dim = 64,
            .mask = {.k_lengths = {2500, 0, 1, 1999}}},
           cases);
}

struct NamedMask {
  std::string name;
  int64_t batch;
  int64_t query_len;
  int64_t key_len;
  MaskSpec spec;
};

constexpr auto kTop = CausalAlignment::kTopLeft;
constexpr auto kBottom = CausalAlignment::kBottomRight;

std::vector<NamedMask> DiagonalMasks() {
  return {
      {"causal_square", 1, 150, 150, {.causal = true}},
      {"causal_bottom_more_keys", 1, 70, 200, {.causal = true, .alignment = kBottom}},
      // The first 130 rows see nothing.
      {"causal_bottom_more_queries", 1, 200, 70, {.causal = true, .alignment = kBottom}},
      {"causal_top_more_keys", 1, 70, 200, {.causal = true, .alignment = kTop}},
      {"causal_top_more_queries", 1, 200, 70, {.causal = true, .alignment = kTop}},
      {"causal_several_units", 1, 530, 600, {.causal = true}},
      {"window", 1, 180, 190, {.window = Window{20, 5}}},
      {"window_of_the_diagonal", 1, 90, 140, {.window = Window{0, 0}}},
      {"window_left", 1, 90, 140, {.window = Window{30, -1}}},
      {"window_right", 1, 90, 140, {.window = Window{-1, 9}}},
      {"window_empty_rows", 1, 170, 30, {.window = Window{8, 4}}},
      {"window_causal", 1, 300, 300, {.causal = true, .window = Window{40, 3}}},
      {"window_several_units", 1, 600, 700, {.window = Window{130, 70}}},
  };
}

std::vector<NamedMask> LengthMasks() {
  return {
      {"k_lengths", 3, 40, 150, {.k_lengths = {150, 0, 33}}},
      {"q_lengths", 3, 100, 60, {.q_lengths = {100, 0, 65}}},
      {"lengths_causal",
       3,
       96,
       140,
       {.causal = true, .q_lengths = {96, 70, 50}, .k_lengths = {140, 31, 50}}},
      {"lengths_causal_top",
       2,
       300,
       290,
       {.causal = true, .alignment = kTop, .q_lengths = {290, 300}, .k_lengths = {270, 255}}},
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
      {"packed_several_units",
       1,
       560,
       700,
       {.causal = true,
        .alignment = kTop,
        .cu_seqlens_q = {0, 1, 300, 310, 560},
        .cu_seqlens_k = {0, 290, 400, 401, 700}}},
  };
}

void AddMasks(const std::vector<NamedMask>& masks, Cases* cases) {
  for (const NamedMask& mask : masks) {
    for (const auto& [name, heads, kv_heads] :
         {std::tuple{"", 2, 2}, {"_gqa", 6, 2}, {"_mqa", 4, 1}}) {
      const CallShape shape = {.batch = mask.batch,
                               .heads = heads,
                               .kv_heads = kv_heads,
                               .query_len = mask.query_len,
                               .key_len = mask.key_len,
                               .head_dim = 24,
                               .mask = mask.spec,
                               .weights = mask.query_len <= 200};
      Add(mask.name + name, DType::kFloat32, shape, cases);
      Add(mask.name + name, heads == 4 ? DType::kFloat16 : DType::kBFloat16, shape, cases);
    }
  }
}

void AddHeads(Cases* cases) {
  AddToAll("many_heads", {.heads = 96, .kv_heads = 96, .query_len = 9, .key_len = 33}, cases);
  AddToAll("many_heads_gqa",
           {.batch = 3, .heads = 96, .kv_heads = 12, .query_len = 5, .key_len = 50, .head_dim = 16},
           cases);
  CallShape huge = {.heads = 1, .kv_heads = 1, .query_len = 1100, .key_len = 1000, .head_dim = 32};
  AddToAll("huge_head", huge, cases);
  huge.mask.causal = true;
  AddToAll("huge_head_causal", huge, cases);
}

void AddNumbers(Cases* cases) {
  const CallShape shape = {.query_len = 70, .key_len = 200};
  const auto add = [&](const std::string& name, double deviation, std::optional<double> scale) {
    CallShape changed = shape;
    changed.deviation = deviation;
    changed.scale = scale;
    AddToAll(name, changed, cases);
  };
  add("logits_of_hundreds", 10, std::nullopt);
  add("logits_of_ten_thousand", 100, std::nullopt);
  add("scale_given", 1, 0.31);
  add("scale_negative", 1, -0.7);
  add("scale_zero", 1, 0);
  add("scale_tiny", 1, 1e-18);
  add("scale_large", 1, 50);
  add("inputs_tiny", 1e-4, std::nullopt);
  CallShape tiny = shape;
  tiny.deviation = 1e-20;
  Add("inputs_below_products", DType::kFloat32, tiny, cases);
  Add("inputs_below_products", DType::kBFloat16, tiny, cases);
}

void AddLayouts(Cases* cases) {
  const CallShape shape = {.batch = 2,
                           .heads = 4,
                           .kv_heads = 2,
                           .query_len = 30,
                           .key_len = 50,
                           .head_dim = 20,
                           .mask = {.causal = true}};
  int index = 0;
  // The last has d outermost of all: no row is contiguous.
  for (const char* pattern : {"b s h d", "b s (h d)", "h b s d", "s b h d", "d s h b"}) {
    for (const char* out_pattern : {"b h s d", "b s h d", "b h d s"}) {
      CallShape changed = shape;
      changed.pattern = pattern;
      changed.out_pattern = out_pattern;
      AddToAll(absl::StrCat("layout_", index++), changed, cases);
    }
  }
  for (const int64_t queries : {1, 30, 300}) {
    CallShape changed = shape;
    changed.query_len = queries;
    changed.key_len = 310;
    changed.head_dim = 33;
    changed.padding = 5;
    AddToAll(absl::StrCat("gaps_between_rows_sq", queries), changed, cases);
  }
}

}  // namespace

std::vector<ConformanceCase> ConformanceCases() {
  Cases cases;
  AddDTypesAndHeadDims(&cases);
  AddLengths(&cases);
  AddDecoding(&cases);
  AddMasks(DiagonalMasks(), &cases);
  AddMasks(LengthMasks(), &cases);
  AddHeads(&cases);
  AddNumbers(&cases);
  AddLayouts(&cases);
  const Cases others = ExpressionAndModifierCases();
  cases.insert(cases.end(), others.begin(), others.end());
  return cases;
}

}  // namespace attn
