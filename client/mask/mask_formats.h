// A picture of a mask as text, SVG and PNG.
#ifndef ATTN_CLIENT_MASK_MASK_FORMATS_H_
#define ATTN_CLIENT_MASK_MASK_FORMATS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/mask/mask_picture.h"

namespace attn {

// `visible 62.50 %, sparsity 37.50 %, block sparsity 25.00 %`.
std::string MaskFigures(const MaskPicture& picture);

// One character a cell in UTF-8, between a frame and its axes: from ` ` (nothing is visible) over
// `░▒▓` to `█` (everything is).
std::string MaskText(const MaskPicture& picture);

// A document of its own, one rectangle a run of equal cells, queries downwards; above it `title`
// and, below that, the figures.
std::string MaskSvg(const MaskPicture& picture, absl::string_view title);

// Greyscale, `pixels` a cell, dark = visible. INTERNAL if libpng fails.
absl::StatusOr<std::string> MaskPng(const MaskPicture& picture, int pixels);

}  // namespace attn

#endif  // ATTN_CLIENT_MASK_MASK_FORMATS_H_
