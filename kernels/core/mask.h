// Masks whose visible keys form one interval a query: causal, window, lengths, packed sequences
// and any conjunction of them, and what an expression was found to come to (mask_intervals.h).
#ifndef ATTN_KERNELS_CORE_MASK_H_
#define ATTN_KERNELS_CORE_MASK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"

namespace attn {

// Where the diagonal lies when there are fewer or more queries than keys: query i stands at key i
// (kTopLeft) or at key i + Sk - Sq (kBottomRight); Sq and Sk are those of the sample or sequence.
enum class CausalAlignment : uint8_t { kTopLeft, kBottomRight };

// Keys from `left` before to `right` after the diagonal, inclusive; -1 = unbounded.
struct Window {
  int64_t left = -1;
  int64_t right = -1;
};

// What a caller asked for; parts are ANDed. Plain data: IntervalMask::Create validates it.
struct MaskSpec {
  bool causal = false;
  std::optional<CausalAlignment> alignment;  // nullopt = kBottomRight
  std::optional<Window> window;
  std::vector<int64_t> q_lengths;     // [B] or empty
  std::vector<int64_t> k_lengths;     // [B] or empty
  std::vector<int64_t> cu_seqlens_q;  // [N+1] or empty
  std::vector<int64_t> cu_seqlens_k;  // [N+1] or empty

  bool packed() const { return !cu_seqlens_q.empty() || !cu_seqlens_k.empty(); }
};

// Keys [begin, end); empty when begin >= end (then both are 0).
struct KeyInterval {
  int64_t begin = 0;
  int64_t end = 0;

  bool empty() const { return begin >= end; }
  int64_t size() const { return empty() ? 0 : end - begin; }
  bool operator==(const KeyInterval&) const = default;
};

// A validated MaskSpec over [B, Sq, Sk], or rows one by one; packed sequences have B = 1.
// Immutable, thread-safe.
class IntervalMask {
 public:
  // Everything visible, over nothing; assign a created mask before use.
  IntervalMask() = default;

  // INVALID_ARGUMENT names the part of the mask that does not fit.
  static absl::StatusOr<IntervalMask> Create(MaskSpec spec, int64_t batch, int64_t query_len,
                                             int64_t key_len);

  // Of intervals given one a query: [samples][Sq], `samples` being `batch` or 1 for all of them.
  // Each lies within [0, Sk); empty ones are {0, 0}.
  struct Row {
    int32_t begin = 0;
    int32_t end = 0;
  };
  static IntervalMask FromRows(std::vector<Row> rows, int64_t samples, int64_t batch,
                               int64_t query_len, int64_t key_len);

  int64_t batch() const { return batch_; }
  int64_t query_len() const { return query_len_; }
  int64_t key_len() const { return key_len_; }

  // Whether samples may differ.
  bool per_sample() const;

  // Keys that query `query` of sample `b` may attend. O(1); O(log N) when packed.
  KeyInterval VisibleKeys(int64_t b, int64_t query) const;

  // Smallest interval that holds VisibleKeys of every query in [begin, end), and the largest that
  // all of them share (empty if there is none, or if one of them sees nothing).
  struct Bounds {
    KeyInterval any;
    KeyInterval all;
  };
  // O(1), O(log N) when packed; of rows one by one in proportion to them.
  Bounds VisibleKeys(int64_t b, int64_t query_begin, int64_t query_end) const;

  // The end of a run [query, result) within [query, end), at least one query long, whose visible
  // keys, taken together, are one interval without gaps. Runs taken one after the other ascend in
  // keys, but for rows one by one, which may be in any order.
  int64_t GaplessEnd(int64_t b, int64_t query, int64_t end) const;

  // Where query `query` of sample `b` stands among the keys when the last query of its sample or
  // sequence stands at the last key, whatever the alignment of the mask is: what ALiBi counts
  // distances from. Of the caller's lengths and sequences; may lie outside [0, Sk).
  int64_t EndAlignedKey(int64_t b, int64_t query) const;

  // Sum of VisibleKeys over all queries of sample `b`: score elements of one head. O(1), or O(N)
  // when packed, whatever the lengths are.
  int64_t VisibleElements(int64_t b) const;
  // Over all samples. O(B) where samples differ. Saturates at INT64_MAX.
  int64_t VisibleElements() const;

  // What the caller asked for; of rows one by one nothing.
  const MaskSpec& spec() const { return *spec_; }

 private:
  struct RowTable {
    std::vector<Row> rows;  // [samples][Sq]
    int64_t samples = 1;
    std::vector<int64_t> elements;  // [samples]
  };

  // The rows of sample `b`, where there are rows.
  const Row* RowsOf(int64_t b) const;

  // Shared: copies of a problem copy no arrays. Never null but in a mask moved from.
  std::shared_ptr<const MaskSpec> spec_ = std::make_shared<const MaskSpec>();
  std::shared_ptr<const RowTable> rows_;  // Null where the spec says it all.
  int64_t batch_ = 0;
  int64_t query_len_ = 0;
  int64_t key_len_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_H_
