// Plans of torch's create_block_mask, block for block.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <variant>
#include <vector>

#include "client/golden/golden_case.h"
#include "client/golden/strict_json.h"
#include "kernels/core/plan_report.h"
#include "kernels/methods/flex/flex_method.h"
#include "server/transport/mask_conversion.h"
#include "server/transport/mask_json.h"
#include "tests/support/golden_files.h"
#include "tests/support/planning_run.h"

namespace attn {
namespace {

struct FlexCase {
  GoldenCase golden;
  nlohmann::json text;  // Of the case, for its facts.
  AttentionCall call;
};

// The call of a case; its views are the file's.
void MakeCall(FlexCase& flex_case) {
  const GoldenCase& golden = flex_case.golden;
  AttentionCall& call = flex_case.call;
  const std::vector<int64_t>& mask = golden.file.Find("mask")->shape;  // [B, H or 1, Sq, Sk]
  AttentionProblem& problem = call.problem;
  problem.batch = mask[0];
  problem.heads = problem.kv_heads = IntOption(golden.options, "heads", mask[1]);
  problem.query_len = mask[2];
  problem.key_len = mask[3];
  problem.mask = *IntervalMask::Create({}, mask[0], mask[2], mask[3]);
  for (const auto& [name, tensor] : golden.file.tensors()) {
    call.extra[name] = {tensor.data.data(), tensor.dtype, TensorLayout::Contiguous(tensor.shape)};
  }
  const auto proto =
      ParseMaskJson(std::get<std::string>(golden.options.find("mask_expr")->second.value));
  ASSERT_TRUE(proto.ok()) << proto.status();
  auto spec = FromProto(*proto);
  ASSERT_TRUE(spec.ok()) << spec.status();
  spec->q_offset = IntOption(golden.options, "q_offset", 0);
  spec->kv_offset = IntOption(golden.options, "kv_offset", 0);
  const auto expression = MaskExpression::Create(*spec, problem.sizes(), call.extra, {});
  ASSERT_TRUE(expression.ok()) << expression.status();
  problem.expression = *expression;
  for (const char* block : {"block_q", "block_kv"}) {
    call.options[block] = golden.options.find(block)->second;
  }
}

// An int32 tensor of a case; empty if it has none of that name.
std::vector<int32_t> Int32s(const GoldenCase& golden, const std::string& name) {
  const FileTensor* tensor = golden.file.Find(name);
  if (tensor == nullptr) return {};
  std::vector<int32_t> values(tensor->data.size() / sizeof(int32_t));
  std::memcpy(values.data(), tensor->data.data(), tensor->data.size());
  return values;
}

// One row of a plan as torch says it.
struct RowLists {
  std::vector<int32_t> partial;
  std::vector<int32_t> full;
};

// torch's full blocks are those of full size; without full lists every block is partial.
RowLists ListsOf(const BlockPlan& plan, int64_t b, int64_t head, int64_t query_block,
                 const FlexCase& flex_case) {
  const auto size = [](const std::vector<int32_t>& offsets, int64_t block) {
    return offsets[static_cast<size_t>(block) + 1] - offsets[static_cast<size_t>(block)];
  };
  const int64_t block_q = IntOption(flex_case.call.options, "block_q", 0);
  const int64_t block_kv = IntOption(flex_case.call.options, "block_kv", 0);
  const bool has_full = flex_case.golden.file.Find("full_kv_indices") != nullptr;
  const int64_t row = ((plan.batch == 1 ? 0 : b) * plan.heads + (plan.heads == 1 ? 0 : head)) *
                          plan.query_blocks() +
                      query_block;
  RowLists lists;
  for (int64_t i = plan.row_begin[static_cast<size_t>(row)];
       i < plan.row_begin[static_cast<size_t>(row) + 1]; ++i) {
    const PlanEntry& entry = plan.entries[static_cast<size_t>(i)];
    const bool full = has_full && entry.mask == BlockMask::kFull &&
                      size(plan.q_offsets, query_block) == block_q &&
                      size(plan.k_offsets, entry.key_block) == block_kv;
    (full ? lists.full : lists.partial).push_back(entry.key_block);
  }
  return lists;
}

std::vector<int32_t> ListAt(const std::vector<int32_t>& counts, const std::vector<int32_t>& indices,
                            size_t row) {
  if (counts.empty()) return {};
  const size_t width = indices.size() / counts.size();
  const auto begin = indices.begin() + static_cast<int64_t>(row * width);
  return {begin, begin + counts[row]};
}

void ExpectPlan(FlexCase& flex_case) {
  const GoldenCase& golden = flex_case.golden;
  ASSERT_NO_FATAL_FAILURE(MakeCall(flex_case));
  const auto planning = CreateFlexMethod()->Plan(flex_case.call);
  const auto planned = RunPlanning(*planning);
  ASSERT_TRUE(planned.ok()) << planned.status();
  ASSERT_TRUE(ValidatePlan(*planned, flex_case.call.problem).ok());
  const BlockPlan plan = ReportedPlan(*planned);
  const FileTensor& levels = *golden.file.Find("plan_levels");  // [B, H or 1, Nq, Nk]
  ASSERT_EQ(plan.query_blocks(), levels.shape[2]);
  ASSERT_EQ(plan.key_blocks(), levels.shape[3]);
  const std::vector<int32_t> partial_counts = Int32s(golden, "kv_num_blocks");
  const std::vector<int32_t> partial = Int32s(golden, "kv_indices");
  const std::vector<int32_t> full_counts = Int32s(golden, "full_kv_num_blocks");
  const std::vector<int32_t> full = Int32s(golden, "full_kv_indices");
  int64_t listed = 0;
  size_t row = 0;
  for (int64_t b = 0; b < levels.shape[0]; ++b) {
    for (int64_t head = 0; head < levels.shape[1]; ++head) {
      for (int64_t q = 0; q < levels.shape[2]; ++q, ++row) {
        SCOPED_TRACE(testing::Message() << "sample " << b << " head " << head << " block " << q);
        const RowLists lists = ListsOf(plan, b, head, q, flex_case);
        EXPECT_EQ(lists.partial, ListAt(partial_counts, partial, row));
        EXPECT_EQ(lists.full, ListAt(full_counts, full, row));
        std::vector<int> expected(static_cast<size_t>(levels.shape[3]));
        for (const std::vector<int32_t>& list : {lists.partial, lists.full}) {
          for (const int32_t block : list) expected[static_cast<size_t>(block)] = 1;
          listed += static_cast<int64_t>(list.size());
        }
        for (size_t k = 0; k < expected.size(); ++k) {
          EXPECT_EQ(static_cast<int>(levels.data[row * expected.size() + k]), expected[k]);
        }
      }
    }
  }
  const double blocks = static_cast<double>(levels.data.size());
  const auto sparsity = flex_case.text["facts"].find("sparsity_percent");
  ASSERT_NE(sparsity, flex_case.text["facts"].end());
  EXPECT_NEAR(100 * (1 - static_cast<double>(listed) / blocks), sparsity->get<double>(), 1e-9);
}

TEST(FlexGolden, PlansAreThoseOfTorch) {
  int seen = 0;
  for (const std::string& path : GoldenFiles(ATTN_SOURCE_DIR)) {
    SCOPED_TRACE(GoldenName(path));
    if (GoldenName(path).rfind("masks/", 0) != 0) continue;
    auto golden = ReadGoldenCase(path);
    ASSERT_TRUE(golden.ok()) << golden.status();
    if (golden->file.Find("plan_levels") == nullptr) continue;
    auto text = ParseStrictJson("case", golden->file.metadata().find("case")->second);
    ASSERT_TRUE(text.ok()) << text.status();
    FlexCase flex_case = {*std::move(golden), *std::move(text), {}};
    ASSERT_NO_FATAL_FAILURE(ExpectPlan(flex_case));
    ++seen;
  }
  if (seen == 0) GTEST_SKIP() << "no golden block masks below ATTN_GOLDEN_DIR or tests/golden";
}

}  // namespace
}  // namespace attn
