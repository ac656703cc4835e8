// A table of one value a token: ids, positions, padding flags; or one a sample, as lengths are.
#ifndef ATTN_KERNELS_CORE_INDEX_TABLE_H_
#define ATTN_KERNELS_CORE_INDEX_TABLE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/core/dtype.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Element `index` of contiguous int32, int64, or booleans (0 or 1), which need no alignment.
int64_t LoadInteger(const std::byte* data, DType dtype, int64_t index);

// Integers or booleans [B or 1, L], read where they lie. Borrows the tensor.
class IndexTable {
 public:
  IndexTable() = default;
  // `view` has rank 1 ([B or 1]: L = 1) or 2, contiguous, and int32, int64 or a boolean dtype.
  explicit IndexTable(const TensorView& view);

  int64_t length() const { return length_; }
  bool per_sample() const { return samples_ > 1; }
  bool Has(int64_t index) const { return index >= 0 && index < length_; }
  // `index` within the length; b any sample of the call.
  int64_t at(int64_t b, int64_t index) const {
    return LoadInteger(data_, dtype_, Element(b, index));
  }
  // Values of [begin, begin + count), within the length.
  void Read(int64_t b, int64_t begin, int64_t count, int64_t* values) const;
  // Bit i = whether value begin + i is not 0; of booleans, count from 1 to 64.
  uint64_t ReadBits(int64_t b, int64_t begin, int64_t count) const;

 private:
  int64_t Element(int64_t b, int64_t index) const {
    return (samples_ == 1 ? 0 : b) * length_ + index;
  }

  const std::byte* data_ = nullptr;
  DType dtype_ = DType::kInt32;
  int64_t samples_ = 1;
  int64_t length_ = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_INDEX_TABLE_H_
