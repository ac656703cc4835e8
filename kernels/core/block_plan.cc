#include "kernels/core/block_plan.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/str_cat.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/flag_bits.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_view.h"

namespace attn {
namespace {

template <typename... Parts>
absl::Status Broken(const Parts&... what) {
  return absl::InvalidArgumentError(absl::StrCat("block plan: ", what...));
}

absl::Status CheckShared(const char* name, int64_t value, int64_t problem_value) {
  if (value == 1 || value == problem_value) return absl::OkStatus();
  return Broken(name, " is ", value, ", allowed: 1 or ", problem_value);
}

absl::Status CheckPermutation(const char* name, const std::vector<int32_t>& permutation,
                              int64_t tokens) {
  if (permutation.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(permutation.size()) != tokens) {
    return Broken(name, " has ", permutation.size(), " values, allowed: none or ", tokens);
  }
  std::vector<bool> seen(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i) {
    const int32_t original = permutation[i];
    if (original < 0 || original >= tokens) {
      return Broken(name, "[", i, "] is ", original, ", allowed: 0 to ", tokens - 1);
    }
    if (seen[static_cast<size_t>(original)]) {
      return Broken(name, "[", i, "] is ", original, " again, allowed: each token once");
    }
    seen[static_cast<size_t>(original)] = true;
  }
  return absl::OkStatus();
}

absl::Status CheckBlockSize(const char* name, int64_t index, int64_t size) {
  if (size >= kMinBlock && size <= kMaxBlock) return absl::OkStatus();
  return Broken(name, ": block ", index, " has ", size, " tokens, allowed: ", kMinBlock, " to ",
                kMaxBlock);
}

absl::Status CheckOffsets(const char* name, const std::vector<int32_t>& offsets, int64_t tokens) {
  if (offsets.size() < 2) {
    return Broken(name, " has ", offsets.size(), " values, allowed: one a block and the end");
  }
  if (offsets.front() != 0) return Broken(name, "[0] is ", offsets.front(), ", allowed: 0");
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t size = int64_t{offsets[i + 1]} - offsets[i];
    ATTN_RETURN_IF_ERROR(CheckBlockSize(name, static_cast<int64_t>(i), size));
  }
  if (offsets.back() == tokens) return absl::OkStatus();
  return Broken(name, "[", offsets.size() - 1, "] is ", offsets.back(),
                ", allowed: the number of tokens, ", tokens);
}

absl::Status CheckRowBegin(const BlockPlan& plan) {
  const std::vector<int64_t>& begin = plan.row_begin;
  const std::optional<int64_t> rows =
      CheckedElementCount(std::array{plan.batch, plan.heads, plan.query_blocks()});
  const auto held = static_cast<int64_t>(begin.size());
  if (!rows.has_value() || held - 1 != *rows) {
    return Broken("row_begin has ", held, " values, allowed: batch ", plan.batch, " * heads ",
                  plan.heads, " * query blocks ", plan.query_blocks(), " + 1");
  }
  if (begin.front() != 0) return Broken("row_begin[0] is ", begin.front(), ", allowed: 0");
  for (size_t i = 1; i < begin.size(); ++i) {
    if (begin[i] >= begin[i - 1]) continue;
    return Broken("row_begin[", i, "] is ", begin[i], ", allowed: at least the one before, ",
                  begin[i - 1]);
  }
  if (begin.back() == static_cast<int64_t>(plan.entries.size())) return absl::OkStatus();
  return Broken("row_begin[", held - 1, "] is ", begin.back(), ", allowed: the number of entries, ",
                plan.entries.size());
}

absl::Status CheckBits(const BlockPlan& plan, int64_t query_block, int64_t index) {
  const PlanEntry& entry = plan.entries[static_cast<size_t>(index)];
  const auto q = static_cast<size_t>(query_block);
  const auto k = static_cast<size_t>(entry.key_block);
  const int64_t rows = plan.q_offsets[q + 1] - plan.q_offsets[q];
  const int64_t keys = plan.k_offsets[k + 1] - plan.k_offsets[k];
  const int64_t words = rows * CeilDivide(keys, kWordBits);
  const auto held = static_cast<int64_t>(plan.bit_tiles.size());
  if (entry.bits >= 0 && entry.bits <= held - words) return absl::OkStatus();
  return Broken("entries[", index, "].bits is ", entry.bits, ", allowed: a tile of ", words,
                " words within the ", held, " of bit_tiles");
}

// `previous` is the key block of the row's entry before it, or -1.
absl::Status CheckEntry(const BlockPlan& plan, int64_t query_block, int64_t index,
                        int32_t previous) {
  const PlanEntry& entry = plan.entries[static_cast<size_t>(index)];
  if (entry.key_block < 0 || entry.key_block >= plan.key_blocks()) {
    return Broken("entries[", index, "].key_block is ", entry.key_block, ", allowed: 0 to ",
                  plan.key_blocks() - 1);
  }
  if (entry.key_block <= previous) {
    return Broken("entries[", index, "].key_block is ", entry.key_block,
                  ", allowed: above the one before it in its row, ", previous);
  }
  if (entry.level < 1 || entry.level > kMaxPlanLevel) {
    return Broken("entries[", index, "].level is ", entry.level, ", allowed: 1 to ", kMaxPlanLevel);
  }
  if (entry.level > 1 && entry.mask != BlockMask::kFull) {
    return Broken("entries[", index, "].mask is ", static_cast<int>(entry.mask), " at level ",
                  entry.level, ", allowed: full, ", static_cast<int>(BlockMask::kFull));
  }
  switch (entry.mask) {
    case BlockMask::kFull:
    case BlockMask::kPredicate:
      return absl::OkStatus();
    case BlockMask::kBits:
      return CheckBits(plan, query_block, index);
  }
  return Broken("entries[", index, "].mask is ", static_cast<int>(entry.mask), ", allowed: 0 to ",
                static_cast<int>(BlockMask::kBits));
}

absl::Status CheckEntries(const BlockPlan& plan) {
  for (size_t row = 0; row + 1 < plan.row_begin.size(); ++row) {
    const int64_t query_block = static_cast<int64_t>(row) % plan.query_blocks();
    int32_t previous = -1;
    for (int64_t i = plan.row_begin[row]; i < plan.row_begin[row + 1]; ++i) {
      ATTN_RETURN_IF_ERROR(CheckEntry(plan, query_block, i, previous));
      previous = plan.entries[static_cast<size_t>(i)].key_block;
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEdge(const char* name, int64_t block) {
  if (block >= kMinBlock && block <= kMaxBlock) return absl::OkStatus();
  return Broken(name, " is ", block, ", allowed: ", kMinBlock, " to ", kMaxBlock);
}

// Of what a plan evaluates.
absl::Status CheckSize(const char* what, const char* unit, int64_t value, int64_t problem_value) {
  if (value == problem_value) return absl::OkStatus();
  return Broken(what, " is over ", value, " ", unit, ", allowed: the problem's, ", problem_value);
}

absl::Status CheckMask(const IntervalMask& mask, int64_t problem_batch, int64_t query_len,
                       int64_t key_len) {
  ATTN_RETURN_IF_ERROR(CheckSize("mask", "samples", mask.batch(), problem_batch));
  ATTN_RETURN_IF_ERROR(CheckSize("mask", "queries", mask.query_len(), query_len));
  return CheckSize("mask", "keys", mask.key_len(), key_len);
}

// `count` rows for `problem_count` samples or heads.
absl::Status CheckApart(const char* name, int64_t count, int64_t problem_count, const char* what,
                        bool tells_apart) {
  if (!tells_apart || count == problem_count) return absl::OkStatus();
  return Broken(name, " is ", count, ", allowed with a ", what,
                " that tells them apart: ", problem_count);
}

absl::Status CheckPredicate(const BlockPlan& plan, const MaskSizes& problem) {
  if (plan.mask != nullptr) {
    const IntervalMask& mask = *plan.mask;
    ATTN_RETURN_IF_ERROR(CheckMask(mask, problem.batch, problem.query_len, problem.key_len));
    ATTN_RETURN_IF_ERROR(CheckApart("batch", plan.batch, problem.batch, "mask", mask.per_sample()));
  }
  if (plan.program == nullptr) return absl::OkStatus();
  const MaskProgram& program = *plan.program;
  const MaskSizes& sizes = program.sizes();
  ATTN_RETURN_IF_ERROR(CheckSize("program", "samples", sizes.batch, problem.batch));
  ATTN_RETURN_IF_ERROR(CheckSize("program", "heads", sizes.heads, problem.heads));
  ATTN_RETURN_IF_ERROR(CheckSize("program", "queries", sizes.query_len, problem.query_len));
  ATTN_RETURN_IF_ERROR(CheckSize("program", "keys", sizes.key_len, problem.key_len));
  ATTN_RETURN_IF_ERROR(
      CheckApart("batch", plan.batch, problem.batch, "program", program.per_sample()));
  return CheckApart("heads", plan.heads, problem.heads, "program", program.per_head());
}

// Of entries [first, end) those of every key block once, ascending.
void SortEntries(size_t first, std::vector<PlanEntry>* entries) {
  const auto begin = entries->begin() + static_cast<int64_t>(first);
  const auto before = [](const PlanEntry& a, const PlanEntry& b) {
    return a.key_block < b.key_block;
  };
  std::sort(begin, entries->end(), before);
  entries->erase(std::unique(begin, entries->end()), entries->end());
}

}  // namespace

std::vector<int32_t> FixedOffsets(int64_t tokens, int64_t block) {
  std::vector<int32_t> offsets;
  for (int64_t at = 0; at < tokens; at += block) offsets.push_back(static_cast<int32_t>(at));
  offsets.push_back(static_cast<int32_t>(tokens));
  return offsets;
}

absl::Status BlockPlan::Validate(int64_t problem_batch, int64_t problem_heads, int64_t query_len,
                                 int64_t key_len) const {
  ATTN_RETURN_IF_ERROR(CheckShared("batch", batch, problem_batch));
  ATTN_RETURN_IF_ERROR(CheckShared("heads", heads, problem_heads));
  ATTN_RETURN_IF_ERROR(CheckPermutation("q_permutation", q_permutation, query_len));
  ATTN_RETURN_IF_ERROR(CheckPermutation("k_permutation", k_permutation, key_len));
  ATTN_RETURN_IF_ERROR(CheckOffsets("q_offsets", q_offsets, query_len));
  ATTN_RETURN_IF_ERROR(CheckOffsets("k_offsets", k_offsets, key_len));
  ATTN_RETURN_IF_ERROR(CheckRowBegin(*this));
  ATTN_RETURN_IF_ERROR(CheckPredicate(*this, {problem_batch, problem_heads, query_len, key_len}));
  return CheckEntries(*this);
}

absl::Status ImplicitPlan::Validate(int64_t problem_batch, int64_t query_len,
                                    int64_t key_len) const {
  ATTN_RETURN_IF_ERROR(CheckEdge("block_q", block_q));
  ATTN_RETURN_IF_ERROR(CheckEdge("block_k", block_k));
  if (mask == nullptr) return Broken("mask is missing, allowed: the problem's");
  return CheckMask(*mask, problem_batch, query_len, key_len);
}

void ImplicitPlan::AppendRow(int64_t b, int64_t query_block,
                             std::vector<PlanEntry>* entries) const {
  const int64_t begin = query_block * block_q;
  const int64_t end = std::min(begin + block_q, mask->query_len());
  const KeyInterval all = mask->VisibleKeys(b, begin, end).all;
  const size_t first_entry = entries->size();
  int64_t from = 0;  // Of the run before; key blocks [from, next) are decided.
  int64_t next = 0;
  bool ascending = true;
  for (int64_t query = begin; query < end;) {
    const int64_t run_end = mask->GaplessEnd(b, query, end);
    const KeyInterval any = mask->VisibleKeys(b, query, run_end).any;
    query = run_end;
    if (any.empty()) continue;
    const int64_t any_end = CeilDivide(any.end, block_k);
    if (any.begin / block_k < from) {  // Rows one by one may go back; blocks may come twice then.
      ascending = false;
      next = 0;
    }
    from = any.begin / block_k;
    for (next = std::max(next, from); next < any_end; ++next) {
      const int64_t key_end = std::min((next + 1) * block_k, mask->key_len());
      const bool full = all.begin <= next * block_k && key_end <= all.end;
      entries->push_back({.key_block = static_cast<int32_t>(next),
                          .mask = full ? BlockMask::kFull : BlockMask::kPredicate});
    }
  }
  if (!ascending) SortEntries(first_entry, entries);
}

BlockPlan ImplicitPlan::Materialise() const {
  BlockPlan plan;
  plan.batch = mask->per_sample() ? mask->batch() : 1;
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

MaskPredicate PredicateOf(const Plan& plan, const AttentionProblem& problem) {
  if (const auto* dense = std::get_if<ImplicitPlan>(&plan)) return {dense->mask, nullptr};
  const auto& listed = std::get<BlockPlan>(plan);
  return {listed.mask != nullptr ? listed.mask : &problem.mask, listed.program};
}

absl::Status ValidatePlan(const Plan& plan, const AttentionProblem& problem) {
  if (const auto* listed = std::get_if<BlockPlan>(&plan)) {
    return listed->Validate(problem.batch, problem.heads, problem.query_len, problem.key_len);
  }
  return std::get<ImplicitPlan>(plan).Validate(problem.batch, problem.query_len, problem.key_len);
}

}  // namespace attn
