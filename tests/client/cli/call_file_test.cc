#include "client/cli/call_file.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A file with tensors of these names, each [2] of bf16: 1, -2.
SafetensorsFile FileWith(const std::vector<std::string>& names) {
  const uint16_t values[] = {0x3f80, 0xc000};
  std::map<std::string, FileTensor, std::less<>> tensors;
  for (const std::string& name : names) {
    tensors[name] = {
        .dtype = DType::kBFloat16, .shape = {2}, .data = std::as_bytes(std::span(values))};
  }
  const std::string path = absl::StrCat(testing::TempDir(), "/call_file_test.safetensors");
  EXPECT_TRUE(WriteSafetensors(path, tensors, {}).ok());
  return *SafetensorsFile::Read(path);
}

TEST(NaturalLess, ReadsNumbersAsNumbers) {
  std::vector<std::string> names = {"layers.10.",  "",   "layers.9.",
                                    "layers.9.b.", "a.", "layers.1."};
  std::sort(names.begin(), names.end(), NaturalLess);
  EXPECT_THAT(names, ElementsAre("", "a.", "layers.1.", "layers.9.", "layers.9.b.", "layers.10."));
  EXPECT_FALSE(NaturalLess("a1", "a1"));
}

TEST(FindCalls, FindsEveryPrefixInNumericalOrder) {
  EXPECT_THAT(FindCalls(FileWith({"q", "k", "v", "out", "sq"})).value(), ElementsAre(""));
  EXPECT_THAT(FindCalls(FileWith({"layers.10.q", "layers.10.k", "layers.10.v", "layers.2.q",
                                  "layers.2.k", "layers.2.v", "key_lengths"}))
                  .value(),
              ElementsAre("layers.2.", "layers.10."));
}

TEST(FindCalls, SaysWhatIsMissing) {
  EXPECT_THAT(std::string(FindCalls(FileWith({"a.q", "a.k"})).status().message()),
              HasSubstr("no 'a.v'"));
  EXPECT_THAT(std::string(FindCalls(FileWith({"k", "v"})).status().message()),
              HasSubstr("no tensor named q"));
}

TEST(ReadCallTensors, TakesOnlyWhatTheCallNames) {
  const SafetensorsFile file =
      FileWith({"a.q", "a.k", "a.v", "a.bias", "shared", "key_lengths", "out"});
  attention::v1::AttendRequest request;
  (*request.mutable_options())["bias"].set_tensor("bias");
  (*request.mutable_options())["list"].mutable_list()->add_values()->set_tensor("shared");
  const CallTensors call =
      ReadCallTensors(file, "a.", request, {.pattern = "b s (h d)", .heads = 2}, {}).value();
  std::vector<std::string> names;
  for (const ClientTensor& tensor : call.tensors) names.push_back(tensor.name);
  EXPECT_THAT(names, ElementsAre("q", "k", "v", "bias", "shared"));
  EXPECT_EQ(call.tensors[0].pattern, "b s (h d)");
  EXPECT_EQ(call.tensors[0].heads, 2);
  EXPECT_EQ(call.tensors[1].heads, 0);
  EXPECT_EQ(call.tensors[3].pattern, "");

  request.mutable_mask()->mutable_expression()->mutable_padding()->set_lengths("key_lengths");
  request.mutable_replicated()->set_q("bias");
  const CallTensors more =
      ReadCallTensors(file, "a.", request, {.pattern = "b s (h d)", .heads = 2}, DType::kFloat32)
          .value();
  ASSERT_EQ(more.tensors.size(), 6U);
  EXPECT_EQ(more.tensors[3].name, "key_lengths");
  EXPECT_EQ(more.tensors[3].dtype, DType::kBFloat16);
  EXPECT_EQ(more.tensors[4].name, "bias");  // Lies like q, and is widened like it.
  EXPECT_EQ(more.tensors[4].pattern, "b s (h d)");
  EXPECT_EQ(more.tensors[4].heads, 2);
  EXPECT_EQ(more.tensors[4].dtype, DType::kFloat32);

  (*request.mutable_options())["mask"].set_tensor("nowhere");
  EXPECT_THAT(std::string(ReadCallTensors(file, "a.", request, {}, {}).status().message()),
              HasSubstr("names the tensor 'nowhere'"));
}

TEST(ReadCallTensors, WidensExactly) {
  const SafetensorsFile file = FileWith({"q", "k", "v"});
  const CallTensors call = ReadCallTensors(file, "", {}, {}, DType::kFloat32).value();
  for (const ClientTensor& tensor : call.tensors) {
    EXPECT_EQ(tensor.dtype, DType::kFloat32);
    float values[2];
    ASSERT_EQ(tensor.data.size(), sizeof(values));
    std::memcpy(values, tensor.data.data(), sizeof(values));
    EXPECT_THAT(values, ElementsAre(1.0F, -2.0F));
  }
}

}  // namespace
}  // namespace attn::cli
