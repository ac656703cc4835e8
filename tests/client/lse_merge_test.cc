#include "client/lse_merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "client/golden/safetensors.h"
#include "client/golden/tensor_compare.h"
#include "tests/support/golden_files.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<double> Doubles(const SafetensorsFile& file, const char* name) {
  const FileTensor* tensor = file.Find(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  return *ToDoubles(*tensor);
}

// [.., S, H, D] as [.., H, S, D]: the order of the LSE's rows.
std::vector<float> HeadsFirst(const std::vector<double>& from, size_t tokens, size_t heads,
                              size_t dim) {
  std::vector<float> to(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t d = i % dim;
    const size_t h = i / dim % heads;
    const size_t s = i / dim / heads % tokens;
    const size_t outer = i / dim / heads / tokens;
    to[((outer * heads + h) * tokens + s) * dim + d] = static_cast<float>(from[i]);
  }
  return to;
}

void MergeAndCompare(const SafetensorsFile& file) {
  const std::vector<int64_t>& shape = file.Find("partial_out")->shape;  // [P, B, S, H, D]
  const auto count = static_cast<size_t>(shape[0]);
  const auto tokens = static_cast<size_t>(shape[2]);
  const auto heads = static_cast<size_t>(shape[3]);
  const auto dim = static_cast<size_t>(shape[4]);
  const std::vector<float> outs = HeadsFirst(Doubles(file, "partial_out"), tokens, heads, dim);
  const std::vector<double> wide_lse = Doubles(file, "partial_lse");
  const std::vector<float> lses(wide_lse.begin(), wide_lse.end());
  std::vector<float> out(outs.size() / count);
  std::vector<float> lse(lses.size() / count);
  std::vector<PartialAttention> parts;
  for (size_t p = 0; p < count; ++p) {
    parts.push_back({std::span(outs).subspan(p * out.size(), out.size()),
                     std::span(lses).subspan(p * lse.size(), lse.size())});
  }
  ASSERT_TRUE(MergePartials(parts, out, lse).ok());

  const std::vector<float> expected_out = HeadsFirst(Doubles(file, "out"), tokens, heads, dim);
  const Difference difference =
      Compare(std::vector<double>(out.begin(), out.end()),
              std::vector<double>(expected_out.begin(), expected_out.end()));
  EXPECT_LE(difference.rel_l2, 2e-6);  // Of the cases' README.
  EXPECT_LE(difference.max_abs, 2e-5);
  EXPECT_LE(Compare(std::vector<double>(lse.begin(), lse.end()), Doubles(file, "lse")).max_abs,
            1e-4);
}

TEST(LseMerge, AgreesWithDiffusersRingAttention) {
  int cases = 0;
  for (const std::string& path : GoldenFiles(ATTN_SOURCE_DIR)) {
    if (!absl::StartsWith(GoldenName(path), "distributed/ring_merge")) continue;
    SCOPED_TRACE(path);
    const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(path);
    ASSERT_TRUE(file.ok()) << file.status();
    MergeAndCompare(*file);
    ++cases;
  }
  if (cases == 0) GTEST_SKIP() << "no golden case distributed/ring_merge_*";
}

// Rows of values and LSE that a test writes down.
struct Part {
  std::vector<float> out;
  std::vector<float> lse;
};

struct Merged {
  absl::Status status;
  std::vector<float> out;
  std::vector<float> lse;
};

Merged Merge(const std::vector<Part>& parts, size_t out_size, size_t rows) {
  std::vector<PartialAttention> views;
  for (const Part& part : parts) views.push_back({part.out, part.lse});
  Merged merged = {.out = std::vector<float>(out_size, kNan),
                   .lse = std::vector<float>(rows, kNan)};
  merged.status = MergePartials(views, merged.out, merged.lse);
  return merged;
}

TEST(LseMerge, WeighsPartsByTheirExponentials) {
  const auto ln3 = static_cast<float>(std::log(3.0));
  const Merged merged = Merge({{{1, 10}, {0}}, {{5, 50}, {ln3}}}, 2, 1);
  ASSERT_TRUE(merged.status.ok());
  EXPECT_THAT(merged.out, ElementsAre(4, 40));  // 1/4 and 3/4
  EXPECT_FLOAT_EQ(merged.lse[0], static_cast<float>(std::log(4.0)));
}

TEST(LseMerge, TakesLseOfAnySize) {
  const Merged merged = Merge({{{1}, {-4e4F}}, {{3}, {-4e4F}}, {{7}, {-1e5F}}}, 1, 1);
  EXPECT_THAT(merged.out, ElementsAre(2));
  EXPECT_FLOAT_EQ(merged.lse[0], -4e4F + std::log(2.0F));
}

TEST(LseMerge, OnePartComesBackBitForBit) {
  const Part part = {{0.1F, -3.3e7F, 0, 1e-30F}, {0.3F, -90.7F}};
  const Merged merged = Merge({part}, 4, 2);
  EXPECT_EQ(merged.out, part.out);
  EXPECT_EQ(merged.lse, part.lse);
}

TEST(LseMerge, OrderDoesNotMatterBeyondRounding) {
  std::vector<Part> parts = {{{0.5F}, {1.25F}}, {{-2}, {3}}, {{7}, {-0.75F}}, {{1}, {-40}}};
  const Merged forward = Merge(parts, 1, 1);
  std::reverse(parts.begin(), parts.end());
  const Merged backward = Merge(parts, 1, 1);
  EXPECT_FLOAT_EQ(forward.out[0], backward.out[0]);
  EXPECT_FLOAT_EQ(forward.lse[0], backward.lse[0]);
}

TEST(LseMerge, AnEmptyPartIsNotRead) {
  const Merged merged = Merge({{{kNan, kInfinity}, {-kInfinity}}, {{1, 2}, {0.5F}}}, 2, 1);
  EXPECT_THAT(merged.out, ElementsAre(1, 2));
  EXPECT_EQ(merged.lse[0], 0.5F);
}

TEST(LseMerge, ARowThatIsEmptyEverywhereIsZero) {
  const Merged merged = Merge({{{kNan, 4}, {-kInfinity, 1}}, {{3, 6}, {-kInfinity, 1}}}, 2, 2);
  EXPECT_THAT(merged.out, ElementsAre(0, 5));
  EXPECT_EQ(merged.lse[0], -kInfinity);
}

TEST(LseMerge, NanOfAnAttendingPartShows) {
  const Merged merged = Merge({{{kNan, 1}, {0, kNan}}, {{1, 1}, {0, 0}}}, 2, 2);
  EXPECT_TRUE(std::isnan(merged.out[0]));
  EXPECT_FLOAT_EQ(merged.lse[0], std::log(2.0F));
  EXPECT_TRUE(std::isnan(merged.out[1]));
  EXPECT_TRUE(std::isnan(merged.lse[1]));
}

TEST(LseMerge, MayWriteOverAPart) {
  std::vector<float> out = {1, 2, 3, 4};
  std::vector<float> lse = {0, 1};
  const Part other = {{3, 4, 5, 6}, {0, 1}};
  const PartialAttention parts[] = {{out, lse}, {other.out, other.lse}};
  ASSERT_TRUE(MergePartials(parts, out, lse).ok());
  EXPECT_THAT(out, ElementsAre(2, 3, 4, 5));
  EXPECT_FLOAT_EQ(lse[1], 1 + std::log(2.0F));
}

TEST(LseMerge, NoRowsAreMergedToNone) { EXPECT_TRUE(Merge({{{}, {}}}, 0, 0).status.ok()); }

TEST(LseMerge, RefusesSizesThatDoNotFit) {
  struct Row {
    std::vector<Part> parts;
    size_t out_size;
    size_t rows;
    const char* message;
  };
  const Row rows[] = {
      {{}, 2, 1, "parts is empty"},
      {{{{1, 2, 3}, {0, 0}}}, 3, 2, "out has 3 elements, not a multiple of the 2 rows of lse"},
      {{{{1}, {}}}, 1, 0, "out has 1 elements, not a multiple of the 0 rows"},
      {{{{1, 2}, {0, 0}}, {{1, 2}, {0}}}, 2, 2, "parts[1].lse has 1 elements, not lse's 2"},
      {{{{1, 2, 3}, {0, 0}}}, 2, 2, "parts[0].out has 3 elements, not out's 2"},
  };
  for (const Row& one : rows) {
    const absl::Status status = Merge(one.parts, one.out_size, one.rows).status;
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << one.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.message));
  }
}

}  // namespace
}  // namespace attn
