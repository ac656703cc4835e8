// Masks as the original implementations built them, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "client/golden/golden_case.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/mask_program.h"
#include "nlohmann/json.hpp"
#include "tests/support/golden_files.h"

namespace attn {
namespace {

using Json = nlohmann::json;

MaskNode Tree(const Json& json);

std::vector<MaskNode> Trees(const Json& json) {
  std::vector<MaskNode> nodes;
  for (const Json& arg : json) nodes.push_back(Tree(arg));
  return nodes;
}

// The grammar of the golden set's masks/README.
MaskNode Tree(const Json& json) {
  const std::string op = json.at("op");
  const auto text = [&](const char* key) { return json.value(key, std::string()); };
  const auto integer = [&](const char* key) { return json.value(key, int64_t{0}); };
  if (op == "causal") return {mask_op::Causal{}};
  if (op == "bidirectional") return {mask_op::Bidirectional{}};
  if (op == "sliding_window") {
    return {mask_op::SlidingWindow{integer("window"), text("window_per_head")}};
  }
  if (op == "bidirectional_window") {
    return {mask_op::BidirectionalWindow{integer("window"), text("window_per_head")}};
  }
  if (op == "chunked") return {mask_op::Chunked{integer("chunk"), text("left_padding")}};
  if (op == "blockwise") return {mask_op::Blockwise{text("ids")}};
  if (op == "packed") return {mask_op::Packed{text("ids")}};
  if (op == "padding") return {mask_op::Padding{text("mask"), text("lengths")}};
  if (op == "and") return {mask_op::All{Trees(json.at("args"))}};
  if (op == "or") return {mask_op::Any{Trees(json.at("args"))}};
  if (op == "not") return {mask_op::Not{{Tree(json.at("arg"))}}};
  if (op == "offset") {
    return {mask_op::Offset{integer("q"), integer("kv"), {Tree(json.at("arg"))}}};
  }
  if (op == "remap") return {mask_op::Remap{text("positions"), {Tree(json.at("arg"))}}};
  ADD_FAILURE() << "unknown op " << op;
  return {mask_op::Causal{}};
}

TensorMap Tensors(const GoldenCase& golden) {
  TensorMap tensors;
  for (const auto& [name, tensor] : golden.file.tensors()) {
    tensors[name] = {tensor.data.data(), tensor.dtype, TensorLayout::Contiguous(tensor.shape)};
  }
  return tensors;
}

// Compares every element of the mask [B, 1 or H, Sq, Sk].
void ExpectMask(const FileTensor& mask, const MaskExpressionSpec& spec, const TensorMap& tensors) {
  const MaskSizes sizes = {mask.shape[0], mask.shape[1], mask.shape[2], mask.shape[3]};
  const auto expression = MaskExpression::Create(spec, sizes, tensors, {});
  ASSERT_TRUE(expression.ok()) << expression.status();
  const auto program = MaskProgram::Bind(**expression, tensors);
  ASSERT_TRUE(program.ok()) << program.status();
  const int64_t stride = CeilDivide(sizes.key_len, 64);
  std::vector<uint64_t> words(static_cast<size_t>(sizes.query_len * stride));
  const std::byte* expected = mask.data.data();
  int64_t wrong = 0;
  for (int64_t b = 0; b < sizes.batch; ++b) {
    for (int64_t head = 0; head < sizes.heads; ++head) {
      program->Evaluate(b, head, {0, sizes.query_len}, {0, sizes.key_len}, words.data(), stride);
      for (int64_t i = 0; i < sizes.query_len; ++i) {
        for (int64_t j = 0; j < sizes.key_len; ++j) {
          const uint64_t word = words[static_cast<size_t>(i * stride + j / 64)];
          wrong += (word >> (j % 64) & 1) != static_cast<uint64_t>(*expected++) ? 1 : 0;
        }
      }
    }
  }
  EXPECT_EQ(wrong, 0) << "elements differ";
}

class GoldenMask : public testing::TestWithParam<std::string> {};

TEST_P(GoldenMask, IsWhatTheExpressionSays) {
  const absl::StatusOr<GoldenCase> golden = ReadGoldenCase(GetParam());
  ASSERT_TRUE(golden.ok()) << golden.status();
  const FileTensor* mask = golden->file.Find("mask");
  const auto text = golden->options.find("mask_expr");
  if (mask == nullptr || text == golden->options.end()) GTEST_SKIP() << "no mask and expression";
  MaskExpressionSpec spec;
  spec.root = Tree(Json::parse(std::get<std::string>(text->second.value)));
  spec.q_offset = IntOption(golden->options, "q_offset", 0);
  spec.kv_offset = IntOption(golden->options, "kv_offset", 0);
  TensorMap tensors = Tensors(*golden);
  ExpectMask(*mask, spec, tensors);
  tensors["mask"] = {mask->data.data(), mask->dtype, TensorLayout::Contiguous(mask->shape)};
  ExpectMask(*mask, {{mask_op::Dense{"mask"}}, spec.q_offset, spec.kv_offset}, tensors);
  if (golden->file.Find("kv_num_blocks") == nullptr) return;
  const bool full = golden->file.Find("full_kv_num_blocks") != nullptr;
  mask_op::Blocks blocks{IntOption(golden->options, "block_q", 0),
                         IntOption(golden->options, "block_kv", 0),
                         "kv_num_blocks",
                         "kv_indices",
                         full ? "full_kv_num_blocks" : "",
                         full ? "full_kv_indices" : ""};
  ExpectMask(*mask, {{mask_op::All{{{blocks}, spec.root}}}, spec.q_offset, spec.kv_offset},
             tensors);
  blocks.partial = {spec.root};  // As flex attention evaluates it.
  ExpectMask(*mask, {{blocks}, spec.q_offset, spec.kv_offset}, tensors);
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = GoldenName(info.param);
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenMask, testing::ValuesIn(GoldenFiles(ATTN_SOURCE_DIR)),
                         TestName);

}  // namespace
}  // namespace attn
