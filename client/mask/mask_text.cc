#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/mask/mask_formats.h"

namespace attn {
namespace {

// A cell that holds a single visible element differs from an empty one, and one that lacks a single
// element from a full one.
const char* Shade(float share) {
  static constexpr std::array<const char*, 3> kPartial = {"░", "▒", "▓"};
  if (share <= 0) return " ";
  if (share >= 1) return "█";
  return kPartial[static_cast<size_t>(std::min(2.0F, std::floor(share * 3)))];
}

std::string Repeated(absl::string_view text, int64_t count) {
  std::string line;
  for (int64_t i = 0; i < count; ++i) absl::StrAppend(&line, text);
  return line;
}

}  // namespace

std::string MaskFigures(const MaskPicture& picture) {
  return absl::StrFormat("visible %.2f %%, sparsity %.2f %%, block sparsity %.2f %%",
                         100 * (1 - picture.sparsity()), 100 * picture.sparsity(),
                         100 * picture.block_sparsity());
}

std::string MaskText(const MaskPicture& picture) {
  const std::string last_query = absl::StrCat(picture.query_len - 1);
  const std::string margin(last_query.size(), ' ');
  const auto number = [&](int64_t query) {
    const std::string text = absl::StrCat(query);
    return margin.substr(text.size()) + text;
  };
  const std::string edge = Repeated("─", picture.columns);
  std::string text = absl::StrCat(margin, " ┌", edge, "┐\n");
  for (int64_t row = 0; row < picture.rows; ++row) {
    const bool labelled = row == 0 || row + 1 == picture.rows;
    absl::StrAppend(&text, labelled ? number(row == 0 ? 0 : picture.query_len - 1) : margin, " │");
    for (int64_t column = 0; column < picture.columns; ++column) {
      absl::StrAppend(&text, Shade(picture.share(row, column)));
    }
    absl::StrAppend(&text, "│\n");
  }
  absl::StrAppend(&text, margin, " └", edge, "┘\n");
  const std::string last_key = absl::StrCat(picture.key_len - 1);
  const int64_t gap = picture.columns - static_cast<int64_t>(last_key.size()) - 1;
  if (gap > 0) {
    absl::StrAppend(&text, margin, "  0", std::string(static_cast<size_t>(gap), ' '), last_key,
                    "\n");
  }
  return text;
}

}  // namespace attn
