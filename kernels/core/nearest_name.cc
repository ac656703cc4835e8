#include "kernels/core/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace attn {
namespace {

constexpr size_t kMaxQuotedBytes = 64;

// Levenshtein, case folded.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // Distances of a's prefix to every prefix of b.
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const bool equal = absl::ascii_tolower(a[i]) == absl::ascii_tolower(b[j]);
      const size_t replaced = diagonal + (equal ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string NearestName(absl::string_view name, std::span<const std::string> candidates) {
  const std::string* nearest = nullptr;
  size_t nearest_distance = 0;
  for (const std::string& candidate : candidates) {
    const size_t longer = std::max(name.size(), candidate.size());
    const size_t shorter = std::min(name.size(), candidate.size());
    const size_t limit = std::max<size_t>(2, longer / 3);
    // The lengths bound the distance from below; a megabyte of name costs nothing.
    if (longer - shorter > limit) continue;
    const size_t distance = EditDistance(name, candidate);
    if (distance > limit || (nearest != nullptr && distance >= nearest_distance)) continue;
    nearest = &candidate;
    nearest_distance = distance;
  }
  return nearest == nullptr ? "" : *nearest;
}

std::string UnknownNameMessage(absl::string_view what, absl::string_view name,
                               std::span<const std::string> candidates) {
  std::string message = absl::StrCat("unknown ", what, " ", Quoted(name), ";");
  if (const std::string nearest = NearestName(name, candidates); !nearest.empty()) {
    absl::StrAppend(&message, " did you mean '", nearest, "'?");
  }
  absl::StrAppend(&message,
                  " known: ", candidates.empty() ? "none" : absl::StrJoin(candidates, ", "));
  return message;
}

std::string Quoted(absl::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kMaxQuotedBytes)), cut ? "..." : "",
                      "'");
}

}  // namespace attn
