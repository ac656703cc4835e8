// What mask expressions refer to: small tensors by name, and a mask function.
#ifndef ATTN_TESTS_SUPPORT_MASK_TENSORS_H_
#define ATTN_TESTS_SUPPORT_MASK_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/mask_function.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Integer and boolean tensors by name. Movable; views stay valid.
class MaskTensors {
 public:
  MaskTensors() = default;
  MaskTensors(MaskTensors&&) = default;
  MaskTensors& operator=(MaskTensors&&) = default;

  // `values` in row-major order, as many as the shape says; replaces a tensor of that name. Of
  // booleans 0 = false; a true one of 8 bits is any other value.
  void Add(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
           const std::vector<int64_t>& values);

  const TensorMap& map() const { return map_; }
  // The same without data: what a call has before its payload is there.
  TensorMap Shapes() const;

 private:
  TensorMap map_;
  std::map<std::string, std::vector<std::byte>> bytes_;
};

// `stripes`, of two arguments: (q + 2 kv + 3 b + 5 head) mod period < kept.
const MaskFunction& StripesFunction();

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_MASK_TENSORS_H_
