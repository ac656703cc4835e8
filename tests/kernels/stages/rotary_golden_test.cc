// Rotary embedding of rows against what FastVideo answered.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "client/golden/safetensors.h"
#include "client/golden/tensor_compare.h"
#include "kernels/core/float16.h"
#include "kernels/stages/rotary_tables.h"
#include "tests/support/golden_files.h"

namespace attn {
namespace {

// A tensor of the file as it lies there.
TensorView Whole(const SafetensorsFile& file, const char* name) {
  const FileTensor* tensor = file.Find(name);
  return {tensor->data.data(), tensor->dtype, TensorLayout::Contiguous(tensor->shape)};
}

// x [B, S, H, D], every row rotated and rounded to `dtype`.
std::vector<double> RotateAll(const SafetensorsFile& file, const RotaryTables& tables,
                              DType dtype) {
  const TensorView x = Whole(file, "x");
  const auto [batch, tokens, heads, dim] =
      std::array<int64_t, 4>{x.dim(0), x.dim(1), x.dim(2), x.dim(3)};
  std::vector<float> row(static_cast<size_t>(dim));
  std::vector<float> angles(static_cast<size_t>(2 * tables.columns()));
  std::vector<double> rotated;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t s = 0; s < tokens; ++s) {
      for (int64_t h = 0; h < heads; ++h) {
        LoadRow(x, b, s, h, row.data());
        tables.Apply(b, s, dim, row.data(), angles.data());
        for (const float value : row) {
          const bool wide = dtype == DType::kFloat32;
          rotated.push_back(wide ? value : BFloat16ToFloat(FloatToBFloat16(value)));
        }
      }
    }
  }
  return rotated;
}

TEST(RotaryTables, AgreesWithFastVideo) {
  const std::string path = FindGoldenFile(ATTN_SOURCE_DIR, "distributed/rope_conventions");
  if (path.empty()) GTEST_SKIP() << "no golden case distributed/rope_conventions";
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(path);
  ASSERT_TRUE(file.ok()) << file.status();
  TensorMap tensors;
  for (const char* name : {"cos", "sin", "cos_full", "sin_full"})
    tensors[name] = Whole(*file, name);
  struct Row {
    RotaryForm form;
    const char* expected;
    const char* expected_bf16;  // Nullptr = the case has none.
  };
  for (const Row& row : {Row{RotaryForm::kInterleaved, "out_interleaved", "out_interleaved_bf16"},
                         Row{RotaryForm::kNeox, "out_neox", nullptr},
                         Row{RotaryForm::kFull, "out_full", "out_full_bf16"}}) {
    SCOPED_TRACE(row.expected);
    const bool full = row.form == RotaryForm::kFull;
    const Rotary rotary = {
        .form = row.form, .cos = full ? "cos_full" : "cos", .sin = full ? "sin_full" : "sin"};
    const RotaryTables tables(rotary, tensors);
    const Difference difference =
        Compare(RotateAll(*file, tables, DType::kFloat32), *ToDoubles(*file->Find(row.expected)));
    EXPECT_LE(difference.rel_l2, 1e-6);
    EXPECT_LE(difference.max_abs, 1e-5);
    if (row.expected_bf16 == nullptr) continue;
    EXPECT_EQ(RotateAll(*file, tables, DType::kBFloat16),
              *ToDoubles(*file->Find(row.expected_bf16)));
  }
}

}  // namespace
}  // namespace attn
