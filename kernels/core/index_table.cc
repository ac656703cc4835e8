#include "kernels/core/index_table.h"

#include <cassert>
#include <cstring>

#include "kernels/core/flag_bits.h"

namespace attn {
namespace {

template <typename T>
int64_t Load(const std::byte* data, int64_t index) {
  T value = 0;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

}  // namespace

int64_t LoadInteger(const std::byte* data, DType dtype, int64_t index) {
  switch (dtype) {
    case DType::kInt32:
      return Load<int32_t>(data, index);
    case DType::kInt64:
      return Load<int64_t>(data, index);
    default:
      return ReadFlag(data, dtype, index) ? 1 : 0;
  }
}

IndexTable::IndexTable(const TensorView& view)
    : data_(view.data),
      dtype_(view.dtype),
      samples_(view.dim(0)),
      length_(view.layout.rank == 1 ? 1 : view.dim(1)) {
  assert(view.layout.rank == 1 || view.layout.rank == 2);
}

void IndexTable::Read(int64_t b, int64_t begin, int64_t count, int64_t* values) const {
  const int64_t first = Element(b, begin);
  switch (dtype_) {
    case DType::kInt32:
      for (int64_t i = 0; i < count; ++i) values[i] = Load<int32_t>(data_, first + i);
      break;
    case DType::kInt64:
      std::memcpy(values, data_ + first * 8, static_cast<size_t>(count) * 8);
      break;
    default:
      for (int64_t i = 0; i < count; ++i) values[i] = LoadInteger(data_, dtype_, first + i);
  }
}

uint64_t IndexTable::ReadBits(int64_t b, int64_t begin, int64_t count) const {
  return ReadFlags(data_, dtype_, Element(b, begin), count);
}

}  // namespace attn
