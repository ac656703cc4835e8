#include "client/cli/format.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace attn::cli {

std::string FormatMs(double nanoseconds) { return FormatFixed(nanoseconds / 1e6, 3); }

std::string FormatFixed(double value, int decimals) {
  return absl::StrFormat("%.*f", decimals, value);
}

std::string FormatScientific(double value) { return absl::StrFormat("%.2e", value); }

std::string FormatShape(std::span<const int64_t> shape) { return absl::StrJoin(shape, "x"); }

std::string FormatTensor(DType dtype, std::span<const int64_t> shape) {
  return absl::StrCat(FormatShape(shape), " ", Name(dtype));
}

}  // namespace attn::cli
