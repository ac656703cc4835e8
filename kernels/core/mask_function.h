// A mask function from outside: what MaskExpression's `function` names.
#ifndef ATTN_KERNELS_CORE_MASK_FUNCTION_H_
#define ATTN_KERNELS_CORE_MASK_FUNCTION_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/tensor_view.h"

namespace attn {

// Whether a predicate holds over a rectangle of positions.
enum class MaskExtent : uint8_t { kNone, kSome, kAll };

// One call's use of a function. Pure, and asked by many threads at once. Positions are absolute and
// may be any.
class BoundMaskFunction {
 public:
  virtual ~BoundMaskFunction() = default;

  // visible[i] = 1 if the query at `q` may attend the key at kv[i], else 0.
  virtual void Evaluate(int64_t b, int64_t head, int64_t q, std::span<const int64_t> kv,
                        uint8_t* visible) const = 0;

  // Of all queries in [q_begin, q_end) and keys in [kv_begin, kv_end). kSome is always true; what
  // is said more exactly saves evaluating every element.
  virtual MaskExtent Extent(int64_t /*b*/, int64_t /*head*/, int64_t /*q_begin*/, int64_t /*q_end*/,
                            int64_t /*kv_begin*/, int64_t /*kv_end*/) const {
    return MaskExtent::kSome;
  }

  // The first failure of the above, which then answered "hidden" and kSome. Whoever evaluates asks
  // when all is evaluated, before any result is given away.
  virtual absl::Status status() const { return absl::OkStatus(); }
};

struct MaskFunctionInfo {
  std::string name;
  std::string origin;       // `builtin`, or the file name of a plug-in
  std::string description;  // What it means, and its arguments and tensors.
  // Whether the head or the sample makes a difference: plans are made once where it does not.
  bool per_head = true;
  bool per_sample = true;
};

// Thread-safe; lives as long as the registry that holds it.
class MaskFunction {
 public:
  virtual ~MaskFunction() = default;

  virtual const MaskFunctionInfo& info() const = 0;

  // INVALID_ARGUMENT if arguments or tensors do not fit. Tensors without data (BasicTensorView) are
  // to be checked all the same; the result is then not evaluated. Borrows the tensors.
  virtual absl::StatusOr<std::unique_ptr<BoundMaskFunction>> Bind(
      std::span<const double> arguments, std::span<const TensorView> tensors) const = 0;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_MASK_FUNCTION_H_
