#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/mask/mask_formats.h"

namespace attn {
namespace {

constexpr double kSide = 640;  // Of the longer side of the mask.
constexpr double kMargin = 48;

// The figures in letters of 12 are less than this wide; a narrow mask does not cut them off.
constexpr double kTextWidth = 400;

// Steps between nothing and everything: finer ones cannot be told apart.
constexpr int kShades = 16;

// 0 = nothing visible, kShades = everything; what lies between is never rounded to either.
int ShadeOf(float share) {
  if (share <= 0) return 0;
  if (share >= 1) return kShades;
  return std::clamp(static_cast<int>(std::lround(share * kShades)), 1, kShades - 1);
}

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

std::string Label(double x, double y, const char* anchor, absl::string_view text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                         Escaped(text));
}

}  // namespace

std::string MaskSvg(const MaskPicture& picture, absl::string_view title) {
  const auto keys = static_cast<double>(picture.key_len);
  const auto queries = static_cast<double>(picture.query_len);
  const double scale = kSide / std::max(keys, queries);
  const double width = keys * scale;
  const double height = queries * scale;
  const std::string figures = MaskFigures(picture);
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.1f %.1f\" role=\"img\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<title>%s</title>\n"
      "<desc>%s</desc>\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
      std::max(width, kTextWidth) + 2 * kMargin, height + 2 * kMargin, Escaped(title), figures);
  absl::StrAppend(&svg, Label(kMargin, 18, "start", title), Label(kMargin, 36, "start", figures));
  for (int64_t row = 0; row < picture.rows; ++row) {
    const double y = kMargin + static_cast<double>(picture.query_begin(row)) * scale;
    const double bottom = kMargin + static_cast<double>(picture.query_begin(row + 1)) * scale;
    for (int64_t begin = 0; begin < picture.columns;) {
      const int shade = ShadeOf(picture.share(row, begin));
      int64_t end = begin + 1;
      while (end < picture.columns && ShadeOf(picture.share(row, end)) == shade) ++end;
      if (shade > 0) {
        absl::StrAppendFormat(
            &svg,
            "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#1d4e89\" "
            "fill-opacity=\"%.3f\"/>\n",
            kMargin + static_cast<double>(picture.key_begin(begin)) * scale, y,
            static_cast<double>(picture.key_begin(end) - picture.key_begin(begin)) * scale,
            bottom - y, static_cast<double>(shade) / kShades);
      }
      begin = end;
    }
  }
  absl::StrAppendFormat(&svg,
                        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"%.2f\" fill=\"none\" "
                        "stroke=\"#404040\"/>\n",
                        kMargin, kMargin, width, height);
  const double under = kMargin + height + 16;
  absl::StrAppend(&svg, Label(kMargin, under, "start", "key 0"),
                  Label(kMargin + width, under, "end", absl::StrCat(picture.key_len - 1)),
                  Label(kMargin - 6, kMargin + 12, "end", "query 0"),
                  Label(kMargin - 6, kMargin + height, "end", absl::StrCat(picture.query_len - 1)),
                  "</svg>\n");
  return svg;
}

}  // namespace attn
