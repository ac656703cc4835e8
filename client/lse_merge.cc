#include "client/lse_merge.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

constexpr double kEmptyLse = -std::numeric_limits<double>::infinity();

absl::Status WrongSize(absl::string_view what, size_t size, absl::string_view wanted,
                       size_t wanted_size) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " has ", size, " elements, not ", wanted, " ", wanted_size));
}

absl::Status CheckSizes(std::span<const PartialAttention> parts, std::span<const float> out,
                        std::span<const float> lse) {
  if (parts.empty()) return absl::InvalidArgumentError("parts is empty, at least one is needed");
  if (lse.empty() ? !out.empty() : out.size() % lse.size() != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "out has ", out.size(), " elements, not a multiple of the ", lse.size(), " rows of lse"));
  }
  for (size_t p = 0; p < parts.size(); ++p) {
    if (parts[p].lse.size() != lse.size()) {
      return WrongSize(absl::StrCat("parts[", p, "].lse"), parts[p].lse.size(), "lse's",
                       lse.size());
    }
    if (parts[p].out.size() != out.size()) {
      return WrongSize(absl::StrCat("parts[", p, "].out"), parts[p].out.size(), "out's",
                       out.size());
    }
  }
  return absl::OkStatus();
}

// The share of each part in a row, and the LSE of all: lse = max + ln(sum exp(lse_p - max)). NaN
// and +infinity make the row NaN, as in attention over all keys.
double Shares(std::span<const PartialAttention> parts, size_t row, std::vector<double>& shares) {
  double max = kEmptyLse;
  for (const PartialAttention& part : parts) max = std::max<double>(max, part.lse[row]);
  double sum = 0;
  for (size_t p = 0; p < parts.size(); ++p) {
    const double lse = parts[p].lse[row];
    shares[p] = lse == kEmptyLse ? 0 : std::exp(lse - max);
    sum += shares[p];
  }
  if (sum == 0) return kEmptyLse;
  for (double& share : shares) share /= sum;
  return max + std::log(sum);
}

}  // namespace

absl::Status MergePartials(std::span<const PartialAttention> parts, std::span<float> out,
                           std::span<float> lse) {
  ATTN_RETURN_IF_ERROR(CheckSizes(parts, out, lse));
  const size_t dim = lse.empty() ? 0 : out.size() / lse.size();
  std::vector<double> shares(parts.size());
  for (size_t row = 0; row < lse.size(); ++row) {
    const double merged = Shares(parts, row, shares);
    for (size_t i = row * dim; i < (row + 1) * dim; ++i) {
      double sum = 0;
      for (size_t p = 0; p < parts.size(); ++p) {
        // An empty part may hold anything. A share that underflowed is not empty: its NaN shows.
        if (parts[p].lse[row] != kEmptyLse) sum += shares[p] * parts[p].out[i];
      }
      out[i] = static_cast<float>(sum);
    }
    lse[row] = static_cast<float>(merged);  // Last: `lse` may be a part's own, read above.
  }
  return absl::OkStatus();
}

}  // namespace attn
