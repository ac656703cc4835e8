#include "tests/support/mask_oracle.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace attn {
namespace {

int64_t Between(std::mt19937_64& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

std::vector<int64_t> RandomLengths(std::mt19937_64& random, int64_t batch, int64_t tokens) {
  std::vector<int64_t> lengths;
  for (int64_t b = 0; b < batch; ++b) lengths.push_back(Between(random, 0, tokens));
  return lengths;
}

std::vector<int64_t> RandomOffsets(std::mt19937_64& random, int64_t sequences, int64_t tokens) {
  std::vector<int64_t> offsets = {0, tokens};
  for (int64_t i = 1; i < sequences; ++i) offsets.push_back(Between(random, 0, tokens));
  std::sort(offsets.begin(), offsets.end());
  return offsets;
}

int64_t RandomWindowEnd(std::mt19937_64& random) {
  switch (Between(random, 0, 5)) {
    case 0:
      return -1;
    case 1:
      return std::numeric_limits<int64_t>::max() - Between(random, 0, 1);
    default:
      return Between(random, 0, 12);
  }
}

}  // namespace

std::string MaskCase::Describe() const {
  const auto list = [](const std::vector<int64_t>& values) {
    return absl::StrCat("[", absl::StrJoin(values, ","), "]");
  };
  return absl::StrCat(
      "B ", batch, " Sq ", query_len, " Sk ", key_len, spec.causal ? " causal" : "",
      spec.alignment == CausalAlignment::kTopLeft ? " top_left" : "",
      spec.window ? absl::StrCat(" window ", spec.window->left, ",", spec.window->right) : "",
      " lengths ", list(spec.q_lengths), list(spec.k_lengths), " packed ", list(spec.cu_seqlens_q),
      list(spec.cu_seqlens_k));
}

MaskCase RandomMaskCase(std::mt19937_64& random) {
  MaskCase drawn;
  MaskSpec& spec = drawn.spec;
  drawn.batch = Between(random, 1, 3);
  drawn.query_len = Between(random, 1, 24);
  drawn.key_len = Between(random, 1, 24);
  spec.causal = Between(random, 0, 1) == 1;
  if (Between(random, 0, 1) == 1) {
    spec.window = Window{RandomWindowEnd(random), RandomWindowEnd(random)};
  }
  if (spec.causal || spec.window) {
    const int64_t drawn_alignment = Between(random, 0, 2);
    if (drawn_alignment == 1) spec.alignment = CausalAlignment::kTopLeft;
    if (drawn_alignment == 2) spec.alignment = CausalAlignment::kBottomRight;
  }
  const int64_t kind = Between(random, 0, 4);
  if (kind == 1 || kind == 2) {
    spec.q_lengths = RandomLengths(random, drawn.batch, drawn.query_len);
  }
  if (kind == 1 || kind == 3) spec.k_lengths = RandomLengths(random, drawn.batch, drawn.key_len);
  if (kind == 4) {
    drawn.batch = 1;
    const int64_t sequences = Between(random, 1, 6);
    spec.cu_seqlens_q = RandomOffsets(random, sequences, drawn.query_len);
    spec.cu_seqlens_k = RandomOffsets(random, sequences, drawn.key_len);
  }
  return drawn;
}

bool Sees(const MaskCase& mask_case, int64_t b, int64_t i, int64_t j) {
  const MaskSpec& spec = mask_case.spec;
  int64_t queries = mask_case.query_len;
  int64_t keys = mask_case.key_len;
  for (size_t n = 0; n + 1 < spec.cu_seqlens_q.size(); ++n) {
    if (i < spec.cu_seqlens_q[n] || i >= spec.cu_seqlens_q[n + 1]) continue;
    if (j < spec.cu_seqlens_k[n] || j >= spec.cu_seqlens_k[n + 1]) return false;
    i -= spec.cu_seqlens_q[n];
    j -= spec.cu_seqlens_k[n];
    queries = spec.cu_seqlens_q[n + 1] - spec.cu_seqlens_q[n];
    keys = spec.cu_seqlens_k[n + 1] - spec.cu_seqlens_k[n];
    break;
  }
  if (!spec.q_lengths.empty()) queries = spec.q_lengths[static_cast<size_t>(b)];
  if (!spec.k_lengths.empty()) keys = spec.k_lengths[static_cast<size_t>(b)];
  if (i >= queries || j >= keys) return false;
  const bool top_left = spec.alignment == CausalAlignment::kTopLeft;
  const int64_t distance = j - (top_left ? i : i + keys - queries);
  if (spec.causal && distance > 0) return false;
  if (!spec.window) return true;
  if (spec.window->left >= 0 && distance < -spec.window->left) return false;
  return spec.window->right < 0 || distance <= spec.window->right;
}

}  // namespace attn
