#include "client/cli/tensor_literals.h"

#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn::cli {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  return std::string(ParseTensorLiterals("--values", {text}).status().message());
}

TEST(TensorLiteralsTest, ElementsSayTheDtypeAndNestingTheShape) {
  const TensorLiterals literals = *ParseTensorLiterals(
      "--values", {"ids=[[3,-1],[4,9007199254740993]]", "keep=[true,false]", "x=[1,0.5]"});
  const TensorView ids = literals.tensors.at("ids");
  EXPECT_EQ(ids.dtype, DType::kInt64);
  EXPECT_THAT(ids.layout.shape(), ::testing::ElementsAre(2, 2));
  const auto* numbers = reinterpret_cast<const int64_t*>(ids.data);
  EXPECT_EQ(numbers[1], -1);
  EXPECT_EQ(numbers[3], 9007199254740993) << "no detour through double";
  const TensorView keep = literals.tensors.at("keep");
  EXPECT_EQ(keep.dtype, DType::kUint8);
  EXPECT_EQ(keep.data[0], std::byte{1});
  EXPECT_EQ(keep.data[1], std::byte{0});
  const TensorView x = literals.tensors.at("x");
  EXPECT_EQ(x.dtype, DType::kFloat32);
  EXPECT_EQ(reinterpret_cast<const float*>(x.data)[1], 0.5F);
}

TEST(TensorLiteralsTest, RefusesWhatIsNoTensor) {
  for (const std::string text : {"ids=[[1],[1,2]]", "ids=[]", "ids=[1,true]", "ids=[\"1\"]",
                                 "ids=[[1],2]", "ids=[[[[[[[1]]]]]]]"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("not a list of numbers, of truth values")) << text;
  }
  EXPECT_THAT(ErrorOf("ids"), HasSubstr("no name"));
  EXPECT_THAT(ErrorOf("=[1]"), HasSubstr("no name"));
  EXPECT_THAT(ErrorOf("ids=7"), HasSubstr("no list"));
  EXPECT_THAT(ErrorOf("ids=[1"), HasSubstr("no list"));
  const absl::Status twice = ParseTensorLiterals("--values", {"ids=[1]", "ids=[2]"}).status();
  EXPECT_THAT(std::string(twice.message()), HasSubstr("the name stands twice"));
}

}  // namespace
}  // namespace attn::cli
