#include "kernels/core/tensor_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/core/limits.h"

namespace attn {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr int64_t kB = 2;
constexpr int64_t kH = 3;
constexpr int64_t kS = 5;
constexpr int64_t kD = 7;

int64_t SizeOf(char letter) {
  switch (letter) {
    case 'b':
      return kB;
    case 'h':
      return kH;
    case 'd':
      return kD;
    default:
      return kS;
  }
}

// Memory offset of element (b, h, s, d) of a contiguous tensor whose letters stand in this order.
int64_t Offset(const std::string& letters, int64_t b, int64_t h, int64_t s, int64_t d) {
  int64_t offset = 0;
  for (const char letter : letters) {
    const int64_t index = letter == 'b' ? b : letter == 'h' ? h : letter == 'd' ? d : s;
    offset = offset * SizeOf(letter) + index;
  }
  return offset;
}

void ExpectStrides(const TensorLayout& layout, const std::string& letters, int64_t batch) {
  ASSERT_THAT(std::vector<int64_t>(layout.shape().begin(), layout.shape().end()),
              ElementsAre(batch, kH, kS, kD));
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < kH; ++h) {
      for (int64_t s = 0; s < kS; ++s) {
        for (int64_t d = 0; d < kD; ++d) {
          const auto& strides = layout.strides;
          ASSERT_EQ(b * strides[0] + h * strides[1] + s * strides[2] + d * strides[3],
                    Offset(letters, b, h, s, d));
        }
      }
    }
  }
}

// Every way to write these letters, in every order and with one pair of neighbours joined or none.
void ExpectEveryPattern(std::string letters, int64_t batch) {
  std::sort(letters.begin(), letters.end());
  do {
    for (size_t joined = 0; joined < letters.size(); ++joined) {  // size() - 1: none.
      const bool joins = joined + 1 < letters.size();
      std::string text;
      std::vector<int64_t> shape;
      for (size_t i = 0; i < letters.size(); ++i) {
        if (joins && i == joined) text += "(";
        text += letters[i];
        if (joins && i == joined + 1) {
          text += ")";
          shape.back() *= SizeOf(letters[i]);
        } else {
          shape.push_back(SizeOf(letters[i]));
        }
        if (i + 1 < letters.size()) text += " ";
      }
      SCOPED_TRACE(text);
      const auto pattern = TensorPattern::Parse(text);
      ASSERT_TRUE(pattern.ok()) << pattern.status();
      EXPECT_EQ(pattern->text(), text);
      EXPECT_EQ(pattern->packed(), batch == 1);

      const TensorPattern::Shaped shaped = pattern->ShapeOf(batch, kH, kS, kD);
      EXPECT_THAT(shaped.shape, ElementsAreArray(shape));
      ExpectStrides(shaped.layout, letters, batch);

      const auto layout = pattern->Resolve("q", shape, kH);
      const bool joins_heads = joins && (letters[joined] == 'h' || letters[joined + 1] == 'h');
      if (joins && !joins_heads) {
        EXPECT_THAT(std::string(layout.status().message()), HasSubstr("unknown size"));
        continue;
      }
      ASSERT_TRUE(layout.ok()) << layout.status();
      ExpectStrides(*layout, letters, batch);
      EXPECT_EQ(layout->strides, shaped.layout.strides);
      EXPECT_EQ(pattern->Resolve("q", shape, 0).ok(), !joins);
    }
  } while (std::next_permutation(letters.begin(), letters.end()));
}

TEST(TensorPattern, EveryOrderAndEveryJoinOfAPaddedTensorResolves) {
  ExpectEveryPattern("bhsd", kB);
}

TEST(TensorPattern, EveryOrderAndEveryJoinOfAPackedTensorResolves) { ExpectEveryPattern("thd", 1); }

TEST(TensorPattern, TextIsNormalised) {
  const std::pair<const char*, const char*> cases[] = {
      {"b h s d", "b h s d"},       {"  b   s n d ", "b s h d"}, {"b s (n d)", "b s (h d)"},
      {"b s( h  d )", "b s (h d)"}, {"(b) s (h) d", "b s h d"},  {"(b h s d)", "(b h s d)"},
      {"t n d", "t h d"},           {"(t)(h d)", "t (h d)"},
  };
  for (const auto& [text, normal] : cases) {
    const auto pattern = TensorPattern::Parse(text);
    ASSERT_TRUE(pattern.ok()) << text;
    EXPECT_EQ(pattern->text(), normal);
  }
  EXPECT_EQ(TensorPattern::Default(false).text(), "b h s d");
  EXPECT_EQ(TensorPattern::Default(true).text(), "t h d");
}

TEST(TensorPattern, MalformedTextIsRefusedAndEchoedSafely) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "axis b is missing"},
      {"b h s", "axis d is missing"},
      {"t h", "axis d is missing"},
      {"b h s d x", "unknown axis 'x'"},
      {"bhsd", "unknown axis 'bhsd'"},
      {"B H S D", "unknown axis 'B'"},
      {"b h s d d", "axis d stands twice"},
      {"b n h s d", "axis h stands twice"},
      {"b t h d", "t, the packed tokens, stands in the place of b and s"},
      {"t s h d", "t, the packed tokens"},
      {"b s () h d", "'()' joins no axes"},
      {"b (s (h d))", "parentheses do not nest"},
      {"b s (h d", "'(' is not closed"},
      {"b s h d)", "')' closes nothing"},
      {"b\ts h d", R"(unknown axis 'b\ts')"},
      {std::string("b\0h s d", 7), R"(pattern 'b\x00h s d': unknown axis 'b\x00h')"},
      {std::string(1000, 'b'), "bbb...'"},
  };
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text);
    const auto pattern = TensorPattern::Parse(text);
    EXPECT_EQ(pattern.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(pattern.status().message()), HasSubstr(expected));
    EXPECT_LT(pattern.status().message().size(), 300);
  }
}

struct ShapeCase {
  const char* pattern;
  std::vector<int64_t> shape;
  int64_t heads;
  const char* text;
};

TEST(TensorPattern, ShapesThatDoNotFitAreRefusedByNameAndAxis) {
  const ShapeCase cases[] = {
      {"b h s d", {1, 2, 3}, 0, "q: rank 3 with pattern 'b h s d', allowed: rank 4"},
      {"b s (h d)", {1, 2, 3, 4}, 2, "q: rank 4 with pattern 'b s (h d)', allowed: rank 3"},
      {"b h s d", {}, 0, "q: rank 0"},
      {"b h s d", {1, 0, 3, 4}, 0, "q: axis 1 (h) is 0, allowed: 1 to 2147483647"},
      {"t h d", {0, 2, 4}, 0, "q: axis 0 (t) is 0"},
      {"b s h d", {1, -5, 3, 4}, 0, "q: axis 1 (s) is -5"},
      {"b s h d", {1, 1, 1, kMaxDimension + 1}, 0, "q: axis 3 (d) is 2147483648"},
      {"b s h d", {1, 1 << 21, 1 << 10, 1 << 10}, 0, "too many elements, allowed: 1099511627776"},
      {"b s h d", {1 << 30, 1 << 30, 1 << 30, 1 << 30}, 0, "too many elements"},
      {"b s (h d)", {1, 2, 10}, 3, "q: axis (h d) is 10, not a multiple of the 3 heads given"},
      {"b s (h d)", {1, 2, 10}, 0, "joins 2 axes of unknown size"},
      {"(b s) h d", {4, 2, 10}, 2, "q: axis (b s) joins 2 axes of unknown size"},
      {"b h s d", {1, 4, 2, 8}, 3, "q: axis h is 4, not the 3 heads given"},
      {"b h s d", {1, 4, 2, 8}, 2, "q: axis h is 4, not the 2 heads given"},  // Divides.
      {"b s (h d)", {1, 2, 10}, -1, "number of heads is -1"},
  };
  for (const ShapeCase& shape_case : cases) {
    SCOPED_TRACE(shape_case.text);
    const auto layout =
        TensorPattern::Parse(shape_case.pattern)->Resolve("q", shape_case.shape, shape_case.heads);
    EXPECT_EQ(layout.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(layout.status().message()), HasSubstr(shape_case.text));
  }
}

TEST(TensorPattern, TheLargestAllowedTensorResolves) {
  const auto layout = TensorPattern::Default(false).Resolve(
      "q", std::vector<int64_t>{1, 1 << 10, 1 << 20, 1 << 10}, 0);
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->element_count(), kMaxTensorElements);
}

}  // namespace
}  // namespace attn
