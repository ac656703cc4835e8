#include "kernels/core/block_plan.h"

#include <algorithm>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

constexpr int64_t kBitsPerWord = 64;

absl::Status Broken(const std::string& what) {
  return absl::InternalError(absl::StrCat("block plan: ", what));
}

absl::Status CheckShared(const char* name, int64_t value, int64_t problem_value) {
  if (value == 1 || value == problem_value) return absl::OkStatus();
  return Broken(absl::StrCat(name, " is ", value, ", allowed: 1 or ", problem_value));
}

absl::Status CheckPermutation(const char* name, const std::vector<int32_t>& permutation,
                              int64_t tokens) {
  if (permutation.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(permutation.size()) != tokens) {
    return Broken(
        absl::StrCat(name, " has ", permutation.size(), " values for ", tokens, " tokens"));
  }
  std::vector<bool> seen(permutation.size());
  for (const int32_t original : permutation) {
    if (original < 0 || original >= tokens || seen[static_cast<size_t>(original)]) {
      return Broken(
          absl::StrCat(name, " holds ", original, " twice or out of range, tokens ", tokens));
    }
    seen[static_cast<size_t>(original)] = true;
  }
  return absl::OkStatus();
}

absl::Status CheckOffsets(const char* name, const std::vector<int32_t>& offsets, int64_t tokens) {
  if (offsets.size() < 2 || offsets.front() != 0 || offsets.back() != tokens) {
    return Broken(absl::StrCat(name, " does not run from 0 to ", tokens));
  }
  if (std::adjacent_find(offsets.begin(), offsets.end(), std::greater_equal<>()) != offsets.end()) {
    return Broken(absl::StrCat(name, " does not ascend"));
  }
  return absl::OkStatus();
}

absl::Status CheckRowBegin(const BlockPlan& plan) {
  const std::vector<int64_t>& begin = plan.row_begin;
  const int64_t rows = plan.batch * plan.heads * plan.query_blocks();
  if (static_cast<int64_t>(begin.size()) != rows + 1) {
    return Broken(absl::StrCat("row_begin has ", begin.size(), " values for ", rows, " rows"));
  }
  if (begin.front() != 0 || begin.back() != static_cast<int64_t>(plan.entries.size()) ||
      !std::is_sorted(begin.begin(), begin.end())) {
    return Broken(
        absl::StrCat("row_begin does not run up from 0 to ", plan.entries.size(), " entries"));
  }
  return absl::OkStatus();
}

absl::Status CheckEntry(const BlockPlan& plan, int64_t query_block, const PlanEntry& entry) {
  if (entry.key_block < 0 || entry.key_block >= plan.key_blocks()) {
    return Broken(absl::StrCat("key block ", entry.key_block, " of ", plan.key_blocks()));
  }
  if (entry.level < 1 || entry.level > kMaxPlanLevel) {
    return Broken(absl::StrCat("level ", entry.level, ", allowed: 1 to ", kMaxPlanLevel));
  }
  if (entry.level > 1 && entry.mask != BlockMask::kFull) {
    return Broken(absl::StrCat("a block of level ", entry.level, " is masked"));
  }
  if (entry.mask != BlockMask::kBits) return absl::OkStatus();
  const auto q = static_cast<size_t>(query_block);
  const auto k = static_cast<size_t>(entry.key_block);
  const int64_t rows = plan.q_offsets[q + 1] - plan.q_offsets[q];
  const int64_t keys = plan.k_offsets[k + 1] - plan.k_offsets[k];
  const int64_t words = rows * ((keys + kBitsPerWord - 1) / kBitsPerWord);
  const auto held = static_cast<int64_t>(plan.bit_tiles.size());
  if (entry.bits < 0 || entry.bits > held - words) {
    return Broken(absl::StrCat("bit tile of ", words, " words at ", entry.bits, " of ", held));
  }
  return absl::OkStatus();
}

absl::Status CheckEntries(const BlockPlan& plan) {
  for (size_t row = 0; row + 1 < plan.row_begin.size(); ++row) {
    const int64_t query_block = static_cast<int64_t>(row) % plan.query_blocks();
    int32_t previous = -1;
    for (int64_t i = plan.row_begin[row]; i < plan.row_begin[row + 1]; ++i) {
      const PlanEntry& entry = plan.entries[static_cast<size_t>(i)];
      ATTN_RETURN_IF_ERROR(CheckEntry(plan, query_block, entry));
      if (entry.key_block <= previous) {
        return Broken(
            absl::StrCat("row ", row, " lists key block ", entry.key_block, " after ", previous));
      }
      previous = entry.key_block;
    }
  }
  return absl::OkStatus();
}

// Blocks of fixed size over `tokens`, the last one ragged.
std::vector<int32_t> FixedOffsets(int64_t tokens, int64_t block) {
  std::vector<int32_t> offsets;
  for (int64_t at = 0; at < tokens; at += block) offsets.push_back(static_cast<int32_t>(at));
  offsets.push_back(static_cast<int32_t>(tokens));
  return offsets;
}

// End of the packed sequence that holds `query`, or `end` if that is nearer: within it the keys
// that some query sees have no gaps.
int64_t GaplessEnd(const MaskSpec& spec, int64_t query, int64_t end) {
  if (!spec.packed()) return end;
  const auto& ends = spec.cu_seqlens_q;
  return std::min(end, *std::upper_bound(ends.begin(), ends.end(), query));
}

}  // namespace

absl::Status BlockPlan::Validate(int64_t problem_batch, int64_t problem_heads, int64_t query_len,
                                 int64_t key_len) const {
  ATTN_RETURN_IF_ERROR(CheckShared("batch", batch, problem_batch));
  ATTN_RETURN_IF_ERROR(CheckShared("heads", heads, problem_heads));
  ATTN_RETURN_IF_ERROR(CheckPermutation("q_permutation", q_permutation, query_len));
  ATTN_RETURN_IF_ERROR(CheckPermutation("k_permutation", k_permutation, key_len));
  ATTN_RETURN_IF_ERROR(CheckOffsets("q_offsets", q_offsets, query_len));
  ATTN_RETURN_IF_ERROR(CheckOffsets("k_offsets", k_offsets, key_len));
  ATTN_RETURN_IF_ERROR(CheckRowBegin(*this));
  return CheckEntries(*this);
}

void ImplicitPlan::AppendRow(int64_t b, int64_t query_block,
                             std::vector<PlanEntry>* entries) const {
  const int64_t begin = query_block * block_q;
  const int64_t end = std::min(begin + block_q, mask->query_len());
  const KeyInterval all = mask->VisibleKeys(b, begin, end).all;
  int64_t next = 0;  // The first key block not yet decided.
  for (int64_t query = begin; query < end;) {
    const int64_t run_end = GaplessEnd(mask->spec(), query, end);
    const KeyInterval any = mask->VisibleKeys(b, query, run_end).any;
    query = run_end;
    if (any.empty()) continue;
    const int64_t any_end = (any.end + block_k - 1) / block_k;
    for (next = std::max(next, any.begin / block_k); next < any_end; ++next) {
      const int64_t key_end = std::min((next + 1) * block_k, mask->key_len());
      const bool full = all.begin <= next * block_k && key_end <= all.end;
      entries->push_back({.key_block = static_cast<int32_t>(next),
                          .mask = full ? BlockMask::kFull : BlockMask::kInterval});
    }
  }
}

BlockPlan ImplicitPlan::Materialise() const {
  BlockPlan plan;
  const bool per_sample = !mask->spec().q_lengths.empty() || !mask->spec().k_lengths.empty();
  plan.batch = per_sample ? mask->batch() : 1;
  plan.q_offsets = FixedOffsets(mask->query_len(), block_q);
  plan.k_offsets = FixedOffsets(mask->key_len(), block_k);
  plan.row_begin.push_back(0);
  for (int64_t b = 0; b < plan.batch; ++b) {
    for (int64_t query_block = 0; query_block < query_blocks(); ++query_block) {
      AppendRow(b, query_block, &plan.entries);
      plan.row_begin.push_back(static_cast<int64_t>(plan.entries.size()));
    }
  }
  return plan;
}

}  // namespace attn
