#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/kernels/engines/conformance_cases.h"
#include "tests/support/named_masks.h"

namespace attn {
namespace {

constexpr DType kDTypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16};

using CaseList = std::vector<ConformanceCase>;

void AddCase(const std::string& name, DType dtype, CallShape shape, CaseList* cases) {
  shape.dtype = dtype;
  shape.out_dtype = dtype;
  cases->push_back({absl::StrCat(name, "_", Name(dtype)), std::move(shape)});
}

// Every node by itself and as models combine them: over a prompt, over one behind a cache, over
// more queries than keys and in decoding.
void AddExpressions(CaseList* cases) {
  for (const std::string& name : MaskNames()) {
    CallShape shape = {.batch = 2,
                       .heads = 4,
                       .kv_heads = 2,
                       .query_len = 150,
                       .key_len = 150,
                       .head_dim = 24,
                       .expression = name,
                       .weights = true};
    AddCase("expression_" + name, DType::kFloat32, shape, cases);
    shape.query_len = 70;
    shape.key_len = 260;
    shape.kv_heads = 4;
    AddCase("expression_" + name + "_cache", DType::kBFloat16, shape, cases);
    shape.query_len = 200;
    shape.key_len = 60;
    shape.batch = 1;
    AddCase("expression_" + name + "_few_keys", DType::kFloat32, shape, cases);
    shape = {.batch = 2,
             .heads = 4,
             .kv_heads = 1,
             .query_len = 1,
             .key_len = 300,
             .head_dim = 64,
             .expression = name,
             .weights = true};
    AddCase("expression_" + name + "_decode", DType::kFloat16, shape, cases);
    AddCase("expression_" + name + "_decode", DType::kBFloat16, shape, cases);
  }
}

// Beside the parts of the mask that are intervals, and where work is split.
void AddExpressionsBesideIntervals(CaseList* cases) {
  for (const std::string name :
       {"bidirectional", "packed", "far", "two_bands", "dense", "blocks", "nested", "nothing"}) {
    const CallShape shape = {.batch = 3,
                             .heads = 2,
                             .kv_heads = 1,
                             .query_len = 96,
                             .key_len = 140,
                             .head_dim = 24,
                             .expression = name};
    CallShape lengths = shape;
    lengths.mask = {.causal = true, .q_lengths = {96, 0, 50}, .k_lengths = {140, 31, 50}};
    AddCase("beside_lengths_" + name, DType::kFloat32, lengths, cases);
    CallShape packed = shape;
    packed.batch = 1;
    packed.mask = {
        .causal = true, .cu_seqlens_q = {0, 0, 40, 60, 96}, .cu_seqlens_k = {0, 20, 20, 71, 140}};
    AddCase("beside_packed_" + name, DType::kBFloat16, packed, cases);
    CallShape window = shape;
    window.mask = {.alignment = CausalAlignment::kTopLeft, .window = Window{20, 9}};
    AddCase("beside_window_" + name, DType::kFloat16, window, cases);
    CallShape split = {.heads = 4, .kv_heads = 1, .query_len = 2, .key_len = 4500, .head_dim = 16};
    split.expression = name;
    AddCase("split_" + name, DType::kFloat32, split, cases);
  }
}

struct NamedShape {
  std::string name;
  CallShape shape;
};

// What modifiers meet.
std::vector<NamedShape> Surroundings() {
  const CallShape plain = {
      .batch = 2, .heads = 4, .kv_heads = 2, .query_len = 90, .key_len = 130, .head_dim = 40};
  std::vector<NamedShape> shapes = {{"plain", plain}};
  const auto add = [&](const std::string& name, const auto& change) {
    CallShape shape = plain;
    change(shape);
    shapes.push_back({name, shape});
  };
  add("causal", [](CallShape& shape) { shape.mask.causal = true; });
  add("empty_rows", [](CallShape& shape) {
    shape.query_len = 140;
    shape.key_len = 70;
    shape.mask.window = Window{8, 4};
  });
  add("lengths", [](CallShape& shape) {
    shape.mask = {.causal = true, .q_lengths = {90, 33}, .k_lengths = {70, 130}};
  });
  add("no_keys", [](CallShape& shape) { shape.mask = {.k_lengths = {130, 0}}; });
  add("packed", [](CallShape& shape) {
    shape.batch = 1;
    shape.mask = {.cu_seqlens_q = {0, 20, 21, 70, 90}, .cu_seqlens_k = {0, 50, 50, 60, 130}};
  });
  add("decode", [](CallShape& shape) {
    shape.kv_heads = 1;
    shape.query_len = 1;
    shape.key_len = 300;
  });
  add("decode_split", [](CallShape& shape) {
    shape.query_len = 3;
    shape.key_len = 4200;
    shape.mask.causal = true;
  });
  add("several_units", [](CallShape& shape) {
    shape.batch = 1;
    shape.heads = 2;
    shape.query_len = 530;
    shape.key_len = 300;
  });
  add("large_logits", [](CallShape& shape) { shape.deviation = 10; });
  add("packed_ids", [](CallShape& shape) { shape.expression = "packed_causal"; });
  add("nested", [](CallShape& shape) { shape.expression = "nested"; });
  add("nothing", [](CallShape& shape) { shape.expression = "nothing"; });
  add("strided", [](CallShape& shape) {
    shape.pattern = "b s (h d)";
    shape.out_pattern = "b s h d";
    shape.padding = 3;
  });
  return shapes;
}

struct NamedModifiers {
  std::string name;
  ModifierShape modifiers;
};

std::vector<NamedModifiers> ModifiersOf(const CallShape& shape) {
  const int64_t batch = shape.batch;
  const int64_t heads = shape.heads;
  const int64_t queries = shape.query_len;
  const int64_t keys = shape.key_len;
  return {
      {"softcap", {.softcap = 5}},
      {"softcap_wide", {.softcap = 300}},
      {"bias", {.bias = {batch, heads, queries, keys}}},
      {"bias_of_keys", {.bias = {batch, 1, 1, keys}, .dtype = DType::kBFloat16}},
      {"bias_of_rows", {.bias = {1, heads, queries, 1}, .hidden = 0.2}},
      {"bias_of_heads", {.bias = {1, heads, 1, 1}, .dtype = DType::kFloat16}},
      {"bias_hides", {.bias = {batch, 1, queries, keys}, .hidden = 0.6}},
      {"alibi", {.slopes_rank = 1}},
      {"alibi_of_samples", {.slopes_rank = 2, .dtype = DType::kFloat16}},
      {"sinks", {.sinks = true}},
      {"sinks_bf16", {.sinks = true, .dtype = DType::kBFloat16}},
      {"bias_alibi", {.bias = {1, 1, queries, keys}, .slopes_rank = 1}},
      {"all_modifiers",
       {.softcap = 8, .bias = {1, heads, 1, keys}, .hidden = 0.1, .slopes_rank = 2, .sinks = true}},
  };
}

// Each alone and together; dtypes take turns, all of them where all modifiers are.
void AddModifiers(CaseList* cases) {
  size_t turn = 0;
  for (const NamedShape& surrounding : Surroundings()) {
    for (const NamedModifiers& named : ModifiersOf(surrounding.shape)) {
      CallShape shape = surrounding.shape;
      shape.modifiers = named.modifiers;
      shape.weights = shape.query_len <= 200;
      const std::string name = absl::StrCat(named.name, "_", surrounding.name);
      const bool all = named.name == "all_modifiers";
      for (const DType dtype : kDTypes) {
        if (all || dtype == kDTypes[turn % 3]) AddCase(name, dtype, shape, cases);
      }
      ++turn;
    }
    ++turn;  // So that the next surroundings meet other dtypes.
  }
}

void AddIdleSamples(CaseList* cases) {
  for (const int64_t queries : {1, 70}) {
    CallShape shape = {.batch = 4,
                       .heads = 2,
                       .kv_heads = 1,
                       .query_len = queries,
                       .key_len = 200,
                       .idle_samples = {true, false, false, true},
                       .weights = true};
    AddCase(absl::StrCat("idle_samples_sq", queries), DType::kFloat32, shape, cases);
    shape.expression = "chunked_left_padding";
    shape.modifiers = {.softcap = 9, .slopes_rank = 2, .sinks = true};
    AddCase(absl::StrCat("idle_samples_modified_sq", queries), DType::kBFloat16, shape, cases);
    shape.idle_samples = {true, true, true, true};
    AddCase(absl::StrCat("all_idle_sq", queries), DType::kFloat32, shape, cases);
  }
}

}  // namespace

std::vector<ConformanceCase> ExpressionAndModifierCases() {
  CaseList cases;
  AddExpressions(&cases);
  AddExpressionsBesideIntervals(&cases);
  AddModifiers(&cases);
  AddIdleSamples(&cases);
  return cases;
}

}  // namespace attn
