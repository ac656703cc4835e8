#include "kernels/core/mask.h"

#include <algorithm>
#include <cassert>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/limits.h"
#include "kernels/core/saturating.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Wider than any distance between a query and a key: stands for larger windows, so that no sum
// overflows.
constexpr int64_t kUnboundedTokens = 2 * kMaxDimension;

// Queries and keys that belong together: those of one sample or of one packed sequence.
struct Segment {
  int64_t query_begin = 0;
  int64_t query_end = 0;
  int64_t key_begin = 0;
  int64_t key_end = 0;

  int64_t query_len() const { return query_end - query_begin; }
  int64_t key_len() const { return key_end - key_begin; }
};

// The mask inside one segment: query i sees keys [i + from, i + to), cut to [0, key_len), all
// counted from the segment's start. Both ends rise with i and from < to, which makes unions,
// intersections and sums over queries plain arithmetic.
struct Band {
  Segment segment;
  int64_t from = 0;
  int64_t to = 0;

  int64_t KeyAt(int64_t position) const {
    return segment.key_begin + std::clamp<int64_t>(position, 0, segment.key_len());
  }
  int64_t KeyBegin(int64_t query) const { return KeyAt(query - segment.query_begin + from); }
  int64_t KeyEnd(int64_t query) const { return KeyAt(query - segment.query_begin + to); }
};

Band BandOf(const MaskSpec& spec, const Segment& segment) {
  const bool bottom_right =
      spec.alignment.value_or(CausalAlignment::kBottomRight) == CausalAlignment::kBottomRight;
  const int64_t diagonal = bottom_right ? segment.key_len() - segment.query_len() : 0;
  int64_t left = kUnboundedTokens;
  int64_t right = kUnboundedTokens;
  if (spec.window) {
    if (spec.window->left >= 0) left = std::min(spec.window->left, kUnboundedTokens);
    if (spec.window->right >= 0) right = std::min(spec.window->right, kUnboundedTokens);
  }
  if (spec.causal) right = 0;
  return {segment, diagonal - left, diagonal + right + 1};
}

Segment SequenceAt(const MaskSpec& spec, size_t index) {
  return {spec.cu_seqlens_q[index], spec.cu_seqlens_q[index + 1], spec.cu_seqlens_k[index],
          spec.cu_seqlens_k[index + 1]};
}

// Index of the packed sequence that holds `query`: never an empty one.
size_t SequenceIndex(const MaskSpec& spec, int64_t query) {
  const auto& ends = spec.cu_seqlens_q;
  return static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), query) - ends.begin()) - 1;
}

Segment SampleAt(const IntervalMask& mask, int64_t b) {
  const MaskSpec& spec = mask.spec();
  const auto index = static_cast<size_t>(b);
  return {0, spec.q_lengths.empty() ? mask.query_len() : spec.q_lengths[index], 0,
          spec.k_lengths.empty() ? mask.key_len() : spec.k_lengths[index]};
}

KeyInterval Normalised(int64_t begin, int64_t end) {
  return begin < end ? KeyInterval{begin, end} : KeyInterval{};
}

IntervalMask::Bounds BoundsOfRows(std::span<const IntervalMask::Row> rows) {
  int64_t any_begin = kMaxDimension;
  int64_t any_end = 0;
  int64_t all_begin = 0;
  int64_t all_end = kMaxDimension;
  for (const IntervalMask::Row& row : rows) {
    if (row.begin < row.end) {
      any_begin = std::min<int64_t>(any_begin, row.begin);
      any_end = std::max<int64_t>(any_end, row.end);
    }
    all_begin = std::max<int64_t>(all_begin, row.begin);
    all_end = std::min<int64_t>(all_end, row.end);
  }
  if (rows.empty()) return {};
  return {Normalised(any_begin, any_end), Normalised(all_begin, all_end)};
}

// How many of the first rows overlap or touch what those before them see.
int64_t GaplessRows(std::span<const IntervalMask::Row> rows) {
  KeyInterval seen;
  int64_t count = 0;
  for (const IntervalMask::Row& row : rows) {
    if (row.begin < row.end) {
      if (seen.empty()) seen = {row.begin, row.end};
      if (row.begin > seen.end || row.end < seen.begin) break;
      seen = {std::min<int64_t>(seen.begin, row.begin), std::max<int64_t>(seen.end, row.end)};
    }
    ++count;
  }
  return count;
}

// Sum over x in [begin, end) of x cut to [0, limit].
int64_t SumOfClamped(int64_t begin, int64_t end, int64_t limit) {
  const int64_t above = end - std::max(begin, std::min(end, limit));
  const int64_t first = std::max<int64_t>(begin, 0);
  const int64_t last = std::min(end, limit) - 1;
  const int64_t between = first <= last ? (first + last) * (last - first + 1) / 2 : 0;
  return between + above * limit;
}

int64_t VisibleInBand(const Band& band) {
  const int64_t rows = band.segment.query_len();
  const int64_t keys = band.segment.key_len();
  return SumOfClamped(band.to, band.to + rows, keys) -
         SumOfClamped(band.from, band.from + rows, keys);
}

absl::Status ValidateSize(const char* name, int64_t size) {
  if (size >= 1 && size <= kMaxDimension) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("mask: ", name, " is ", size, ", allowed: 1 to ", kMaxDimension));
}

absl::Status ValidateDiagonal(const MaskSpec& spec) {
  if (spec.alignment && !spec.causal && !spec.window) {
    return absl::InvalidArgumentError(
        "mask.alignment is given, but neither mask.causal nor mask.window is");
  }
  if (!spec.window) return absl::OkStatus();
  for (const auto& [name, value] :
       {std::pair{"left", spec.window->left}, std::pair{"right", spec.window->right}}) {
    if (value < -1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "mask.window.", name, " is ", value, ", allowed: -1 (unbounded) or a count of keys"));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateLengths(const char* name, const std::vector<int64_t>& lengths, int64_t batch,
                             int64_t tokens) {
  if (lengths.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(lengths.size()) != batch) {
    return absl::InvalidArgumentError(absl::StrCat("mask.", name, " has ", lengths.size(),
                                                   " values, allowed: one a sample, ", batch));
  }
  for (size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] >= 0 && lengths[b] <= tokens) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("mask.", name, "[", b, "] is ", lengths[b], ", allowed: 0 to ", tokens));
  }
  return absl::OkStatus();
}

absl::Status ValidateOffsets(const char* name, const std::vector<int64_t>& offsets,
                             int64_t tokens) {
  if (offsets.front() != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("mask.", name, " starts at ", offsets.front(), ", allowed: 0"));
  }
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] >= offsets[i - 1]) continue;
    return absl::InvalidArgumentError(absl::StrCat("mask.", name, "[", i, "] is ", offsets[i],
                                                   ", less than the one before, ", offsets[i - 1]));
  }
  if (offsets.back() != tokens) {
    return absl::InvalidArgumentError(absl::StrCat("mask.", name, " ends at ", offsets.back(),
                                                   ", allowed: the number of tokens, ", tokens));
  }
  return absl::OkStatus();
}

absl::Status ValidatePacked(const MaskSpec& spec, int64_t batch, int64_t query_len,
                            int64_t key_len) {
  if (!spec.packed()) return absl::OkStatus();
  if (!spec.q_lengths.empty() || !spec.k_lengths.empty()) {
    return absl::InvalidArgumentError(
        "mask.cu_seqlens_q and mask.cu_seqlens_k exclude mask.q_lengths and mask.k_lengths: packed "
        "sequences carry their own lengths");
  }
  if (spec.cu_seqlens_q.size() != spec.cu_seqlens_k.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "mask.cu_seqlens_q has ", spec.cu_seqlens_q.size(), " values and mask.cu_seqlens_k ",
        spec.cu_seqlens_k.size(), ", allowed: both, of equal size"));
  }
  if (batch != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("mask: packed sequences (cu_seqlens) with batch ", batch, ", allowed: 1"));
  }
  ATTN_RETURN_IF_ERROR(ValidateOffsets("cu_seqlens_q", spec.cu_seqlens_q, query_len));
  return ValidateOffsets("cu_seqlens_k", spec.cu_seqlens_k, key_len);
}

}  // namespace

absl::StatusOr<IntervalMask> IntervalMask::Create(MaskSpec spec, int64_t batch, int64_t query_len,
                                                  int64_t key_len) {
  ATTN_RETURN_IF_ERROR(ValidateSize("batch", batch));
  ATTN_RETURN_IF_ERROR(ValidateSize("query length", query_len));
  ATTN_RETURN_IF_ERROR(ValidateSize("key length", key_len));
  ATTN_RETURN_IF_ERROR(ValidateDiagonal(spec));
  ATTN_RETURN_IF_ERROR(ValidatePacked(spec, batch, query_len, key_len));
  ATTN_RETURN_IF_ERROR(ValidateLengths("q_lengths", spec.q_lengths, batch, query_len));
  ATTN_RETURN_IF_ERROR(ValidateLengths("k_lengths", spec.k_lengths, batch, key_len));
  IntervalMask mask;
  mask.spec_ = std::make_shared<const MaskSpec>(std::move(spec));
  mask.batch_ = batch;
  mask.query_len_ = query_len;
  mask.key_len_ = key_len;
  return mask;
}

IntervalMask IntervalMask::FromRows(std::vector<Row> rows, int64_t samples, int64_t batch,
                                    int64_t query_len, int64_t key_len) {
  assert(samples == 1 || samples == batch);
  assert(static_cast<int64_t>(rows.size()) == samples * query_len);
  RowTable table = {.rows = std::move(rows), .samples = samples};
  for (int64_t b = 0; b < samples; ++b) {
    int64_t& elements = table.elements.emplace_back(0);
    for (int64_t query = 0; query < query_len; ++query) {
      const Row& row = table.rows[static_cast<size_t>(b * query_len + query)];
      elements += row.end - row.begin;
    }
  }
  IntervalMask mask;
  mask.rows_ = std::make_shared<const RowTable>(std::move(table));
  mask.batch_ = batch;
  mask.query_len_ = query_len;
  mask.key_len_ = key_len;
  return mask;
}

const IntervalMask::Row* IntervalMask::RowsOf(int64_t b) const {
  return rows_->rows.data() + (rows_->samples == 1 ? 0 : b * query_len_);
}

KeyInterval IntervalMask::VisibleKeys(int64_t b, int64_t query) const {
  if (rows_ != nullptr) {
    const Row& row = RowsOf(b)[query];
    return {row.begin, row.end};
  }
  const Segment segment =
      spec_->packed() ? SequenceAt(*spec_, SequenceIndex(*spec_, query)) : SampleAt(*this, b);
  if (query >= segment.query_end) return {};
  const Band band = BandOf(*spec_, segment);
  return Normalised(band.KeyBegin(query), band.KeyEnd(query));
}

IntervalMask::Bounds IntervalMask::VisibleKeys(int64_t b, int64_t query_begin,
                                               int64_t query_end) const {
  if (rows_ != nullptr) return BoundsOfRows({RowsOf(b) + query_begin, RowsOf(b) + query_end});
  Bounds bounds;
  int64_t all_begin = 0;
  int64_t all_end = key_len_;
  for (int64_t query = query_begin; query < query_end;) {
    const Segment segment =
        spec_->packed() ? SequenceAt(*spec_, SequenceIndex(*spec_, query)) : SampleAt(*this, b);
    if (query >= segment.query_end) return bounds;  // Past q_lengths: sees nothing.
    const Band band = BandOf(*spec_, segment);
    const int64_t last = std::min(query_end, segment.query_end) - 1;
    const KeyInterval any = Normalised(band.KeyBegin(query), band.KeyEnd(last));
    if (bounds.any.empty()) {
      bounds.any = any;
    } else if (!any.empty()) {
      bounds.any.end = any.end;  // Sequences ascend in keys as they do in queries.
    }
    all_begin = std::max(all_begin, band.KeyBegin(last));
    all_end = std::min(all_end, band.KeyEnd(query));
    query = last + 1;
  }
  if (query_begin < query_end) bounds.all = Normalised(all_begin, all_end);
  return bounds;
}

bool IntervalMask::per_sample() const {
  if (rows_ != nullptr) return rows_->samples > 1;
  return !spec_->q_lengths.empty() || !spec_->k_lengths.empty();
}

int64_t IntervalMask::GaplessEnd(int64_t b, int64_t query, int64_t end) const {
  if (rows_ != nullptr) return query + GaplessRows({RowsOf(b) + query, RowsOf(b) + end});
  if (!spec_->packed()) return end;
  const auto& ends = spec_->cu_seqlens_q;
  return std::min(end, *std::upper_bound(ends.begin(), ends.end(), query));
}

int64_t IntervalMask::EndAlignedKey(int64_t b, int64_t query) const {
  const Segment segment =
      spec_->packed() ? SequenceAt(*spec_, SequenceIndex(*spec_, query)) : SampleAt(*this, b);
  return segment.key_end - (segment.query_end - query);
}

int64_t IntervalMask::VisibleElements(int64_t b) const {
  if (rows_ != nullptr) return rows_->elements[rows_->samples == 1 ? 0 : static_cast<size_t>(b)];
  if (!spec_->packed()) return VisibleInBand(BandOf(*spec_, SampleAt(*this, b)));
  int64_t total = 0;  // Within Sq * Sk.
  for (size_t i = 0; i + 1 < spec_->cu_seqlens_q.size(); ++i) {
    total += VisibleInBand(BandOf(*spec_, SequenceAt(*spec_, i)));
  }
  return total;
}

int64_t IntervalMask::VisibleElements() const {
  if (batch_ == 0) return 0;
  if (!per_sample()) return SaturatingMultiply(batch_, VisibleElements(0));
  int64_t total = 0;
  for (int64_t b = 0; b < batch_; ++b) total = SaturatingAdd(total, VisibleElements(b));
  return total;
}

}  // namespace attn
