#include "kernels/core/tensor_pattern.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

constexpr absl::string_view kPaddedLetters = "bhsd";
constexpr absl::string_view kPackedLetters = "thd";
constexpr size_t kHeadAxis = 1;

using Sizes = std::array<int64_t, 4>;  // B, H, S, D

size_t AxisOf(char letter) { return kPaddedLetters.find(letter == 't' ? 's' : letter); }

// Axes as strings of letters, n read as h.
absl::StatusOr<std::vector<std::string>> ParseGroups(absl::string_view text) {
  std::vector<std::string> groups;
  std::string seen;
  bool inside = false;  // Of parentheses.
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(" ()", at), text.size());
    if (end == at) {  // A space or a parenthesis.
      const char separator = text[at++];
      if (separator == '(') {
        if (inside) return absl::InvalidArgumentError("parentheses do not nest");
        groups.emplace_back();
      } else if (separator == ')') {
        if (!inside) return absl::InvalidArgumentError("')' closes nothing");
        if (groups.back().empty()) return absl::InvalidArgumentError("'()' joins no axes");
      }
      if (separator != ' ') inside = separator == '(';
      continue;
    }
    const absl::string_view word = text.substr(at, end - at);
    at = end;
    const char letter = word == "n" ? 'h' : word.front();
    if (word.size() != 1 || absl::string_view("bhstd").find(letter) == absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown axis ", Quoted(word),
                       ", allowed: b, h (or n), s, d; packed: t, h (or n), d; apart by spaces"));
    }
    if (seen.find(letter) != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("axis ", std::string(1, letter), " stands twice"));
    }
    seen += letter;
    if (!inside) groups.emplace_back();
    groups.back() += letter;
  }
  if (inside) return absl::InvalidArgumentError("'(' is not closed");
  return groups;
}

// True if packed; an error if a letter is missing or the two kinds mix.
absl::StatusOr<bool> CheckLetters(const std::vector<std::string>& groups) {
  const std::string letters = absl::StrJoin(groups, "");
  const bool packed = letters.find('t') != std::string::npos;
  if (packed && letters.find_first_of("bs") != std::string::npos) {
    return absl::InvalidArgumentError("t, the packed tokens, stands in the place of b and s");
  }
  for (const char letter : packed ? kPackedLetters : kPaddedLetters) {
    if (letters.find(letter) == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("axis ", std::string(1, letter), " is missing"));
    }
  }
  return packed;
}

std::string GroupText(const std::string& group) {
  if (group.size() == 1) return group;
  const auto append_letter = [](std::string* out, char letter) { out->push_back(letter); };
  return absl::StrCat("(", absl::StrJoin(group, " ", append_letter), ")");
}

std::string TextOf(const std::vector<std::string>& groups) {
  return absl::StrJoin(groups, " ", [](std::string* out, const std::string& group) {
    out->append(GroupText(group));
  });
}

absl::Status CheckShape(const std::string& prefix, const std::vector<std::string>& groups,
                        std::span<const int64_t> shape) {
  if (shape.size() != groups.size()) {
    return absl::InvalidArgumentError(absl::StrCat(prefix, "rank ", shape.size(), " with pattern '",
                                                   TextOf(groups), "', allowed: rank ",
                                                   groups.size()));
  }
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] >= 1 && shape[axis] <= kMaxDimension) continue;
    return absl::InvalidArgumentError(absl::StrCat(prefix, "axis ", axis, " (",
                                                   GroupText(groups[axis]), ") is ", shape[axis],
                                                   ", allowed: 1 to ", kMaxDimension));
  }
  const std::optional<int64_t> elements = CheckedElementCount(shape);
  if (!elements || *elements > kMaxTensorElements) {
    return absl::InvalidArgumentError(
        absl::StrCat(prefix, "shape [", absl::StrJoin(shape, ", "),
                     "] has too many elements, allowed: ", kMaxTensorElements));
  }
  return absl::OkStatus();
}

// Sets the size of the one letter of the group that is not yet known.
absl::Status SplitAxis(const std::string& prefix, const std::string& group, int64_t dim,
                       Sizes* sizes) {
  int64_t known = 1;
  std::string unknown;
  for (const char letter : group) {
    const int64_t size = (*sizes)[AxisOf(letter)];
    if (size == 0) {
      unknown += letter;
    } else {
      known *= size;
    }
  }
  if (unknown.size() > 1) {
    const bool heads_missing = unknown.find('h') != std::string::npos;
    return absl::InvalidArgumentError(
        absl::StrCat(prefix, "axis ", GroupText(group), " joins ", unknown.size(),
                     " axes of unknown size, allowed: one, beside h with the number of heads",
                     heads_missing ? " (which is not given)" : ""));
  }
  if (unknown.empty() ? known != dim : dim % known != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        prefix, "axis ", GroupText(group), " is ", dim,
        unknown.empty() ? ", not the " : ", not a multiple of the ", known, " heads given"));
  }
  if (!unknown.empty()) (*sizes)[AxisOf(unknown.front())] = dim / known;
  return absl::OkStatus();
}

TensorLayout LayoutOf(const std::vector<std::string>& groups, const Sizes& sizes) {
  TensorLayout layout;
  layout.rank = 4;
  std::copy(sizes.begin(), sizes.end(), layout.dims.begin());
  int64_t stride = 1;
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
    for (auto letter = group->rbegin(); letter != group->rend(); ++letter) {
      layout.strides[AxisOf(*letter)] = stride;
      stride *= sizes[AxisOf(*letter)];
    }
  }
  if (layout.strides[0] == 0) layout.strides[0] = stride;  // Packed: no b, one sample.
  return layout;
}

}  // namespace

absl::StatusOr<TensorPattern> TensorPattern::Parse(absl::string_view text) {
  const auto named = [&](const absl::Status& status) {
    return absl::InvalidArgumentError(
        absl::StrCat("pattern ", Quoted(text), ": ", status.message()));
  };
  absl::StatusOr<std::vector<std::string>> groups = ParseGroups(text);
  if (!groups.ok()) return named(groups.status());
  const absl::StatusOr<bool> packed = CheckLetters(*groups);
  if (!packed.ok()) return named(packed.status());
  TensorPattern pattern;
  pattern.text_ = TextOf(*groups);
  pattern.groups_ = *std::move(groups);
  pattern.packed_ = *packed;
  return pattern;
}

const TensorPattern& TensorPattern::Default(bool packed) {
  static const TensorPattern& padded_default = *new TensorPattern(*Parse("b h s d"));
  static const TensorPattern& packed_default = *new TensorPattern(*Parse("t h d"));
  return packed ? packed_default : padded_default;
}

absl::StatusOr<TensorLayout> TensorPattern::Resolve(absl::string_view name,
                                                    std::span<const int64_t> shape,
                                                    int64_t heads) const {
  const std::string prefix = absl::StrCat(name, ": ");
  ATTN_RETURN_IF_ERROR(CheckShape(prefix, groups_, shape));
  if (heads < 0 || heads > kMaxDimension) {
    return absl::InvalidArgumentError(absl::StrCat(prefix, "number of heads is ", heads,
                                                   ", allowed: 1 to ", kMaxDimension,
                                                   ", or 0 (not given)"));
  }
  Sizes sizes{};  // 0 = not yet known.
  if (packed_) sizes[0] = 1;
  sizes[kHeadAxis] = heads;
  for (size_t axis = 0; axis < groups_.size(); ++axis) {
    ATTN_RETURN_IF_ERROR(SplitAxis(prefix, groups_[axis], shape[axis], &sizes));
  }
  return LayoutOf(groups_, sizes);
}

TensorPattern::Shaped TensorPattern::ShapeOf(int64_t batch, int64_t heads, int64_t tokens,
                                             int64_t dim) const {
  const Sizes sizes = {batch, heads, tokens, dim};
  Shaped shaped{{}, LayoutOf(groups_, sizes)};
  for (const std::string& group : groups_) {
    int64_t size = 1;
    for (const char letter : group) size *= sizes[AxisOf(letter)];
    shaped.shape.push_back(size);
  }
  return shaped;
}

}  // namespace attn
