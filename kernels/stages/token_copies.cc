#include "kernels/stages/token_copies.h"

#include <algorithm>
#include <cassert>

#include "kernels/core/ceil_divide.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

absl::Status CopyTokens(const TokenCopy& copy, int64_t b, int64_t head, int64_t begin, int64_t end,
                        Scratch& scratch) {
  const int64_t dim = copy.to.dim(3);
  const int64_t angles = copy.rotary == nullptr ? 0 : 2 * copy.rotary->columns();
  const auto float_bytes = static_cast<int64_t>(sizeof(float));
  ATTN_RETURN_IF_ERROR(scratch.Reserve((dim + angles) * float_bytes + 2 * kBufferAlignment));
  auto* const row = scratch.Take<float>(dim);
  auto* const angle_row = scratch.Take<float>(angles);
  for (int64_t token = begin; token < end; ++token) {
    const JoinedTokens::Place from = copy.from.At(token);
    if (copy.rotary == nullptr || token >= copy.from.first.dim(2)) {
      CopyRow(from.view, {head, from.token}, copy.to, {head, token}, b, row);
      continue;
    }
    LoadRow(from.view, b, head, from.token, row);
    copy.rotary->Apply(b, copy.first_position + token, dim, row, angle_row);
    StoreRow(row, b, head, token, copy.to);
  }
  return absl::OkStatus();
}

}  // namespace

void TokenCopies::Add(const TokenCopy& copy) {
  assert(copy.to.dim(2) == copy.from.size() && copy.to.dtype == copy.from.first.dtype);
  const int64_t rows =
      std::max<int64_t>(1, kStageTileElements / std::max<int64_t>(1, copy.to.dim(3)));
  const int64_t chunks = CeilDivide(copy.to.dim(2), rows);
  copies_.push_back({.copy = copy, .rows = rows, .chunks = chunks, .first_tile = tiles_});
  tiles_ += copy.to.dim(0) * copy.to.dim(1) * chunks;
}

absl::Status TokenCopies::RunTile(int64_t tile, Scratch& scratch) const {
  const auto found = std::find_if(copies_.rbegin(), copies_.rend(), [tile](const Planned& planned) {
    return planned.first_tile <= tile;
  });
  assert(found != copies_.rend());
  const int64_t own = tile - found->first_tile;
  const TokenCopy& copy = found->copy;
  const int64_t heads = copy.to.dim(1);
  const int64_t begin = own % found->chunks * found->rows;
  return CopyTokens(copy, own / found->chunks / heads, own / found->chunks % heads, begin,
                    std::min(begin + found->rows, copy.to.dim(2)), scratch);
}

}  // namespace attn
