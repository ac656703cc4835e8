#include "tests/support/mask_tensors.h"

#include <cassert>
#include <cstring>
#include <memory>
#include <span>

#include "absl/status/status.h"

namespace attn {
namespace {

class BoundStripes : public BoundMaskFunction {
 public:
  BoundStripes(int64_t period, int64_t kept) : period_(period), kept_(kept) {}

  void Evaluate(int64_t b, int64_t head, int64_t q, std::span<const int64_t> kv,
                uint8_t* visible) const override {
    for (size_t i = 0; i < kv.size(); ++i) {
      const int64_t remainder = (q + 2 * kv[i] + 3 * b + 5 * head) % period_;
      visible[i] = (remainder < 0 ? remainder + period_ : remainder) < kept_ ? 1 : 0;
    }
  }
  MaskExtent Extent(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t) const override {
    if (kept_ <= 0) return MaskExtent::kNone;
    return kept_ >= period_ ? MaskExtent::kAll : MaskExtent::kSome;
  }

 private:
  int64_t period_;
  int64_t kept_;
};

class Stripes : public MaskFunction {
 public:
  const MaskFunctionInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<BoundMaskFunction>> Bind(
      std::span<const double> arguments, std::span<const TensorView> tensors) const override {
    if (arguments.size() != 2 || arguments[0] < 1 || !tensors.empty()) {
      return absl::InvalidArgumentError("takes a period of 1 or more, what is kept, no tensors");
    }
    return std::make_unique<BoundStripes>(static_cast<int64_t>(arguments[0]),
                                          static_cast<int64_t>(arguments[1]));
  }

 private:
  MaskFunctionInfo info_{
      .name = "stripes",
      .origin = "builtin",
      .description = "",
  };
};

}  // namespace

void MaskTensors::Add(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                      const std::vector<int64_t>& values) {
  const TensorLayout layout = TensorLayout::Contiguous(shape);
  assert(layout.element_count() == static_cast<int64_t>(values.size()));
  std::vector<std::byte>& bytes = bytes_[name];
  bytes.assign(static_cast<size_t>(ByteSize(dtype, layout.element_count())), std::byte{0});
  for (size_t i = 0; i < values.size(); ++i) {
    const auto narrow = static_cast<int32_t>(values[i]);
    if (dtype == DType::kInt64) {
      std::memcpy(bytes.data() + i * 8, &values[i], 8);
    } else if (dtype == DType::kInt32) {
      std::memcpy(bytes.data() + i * 4, &narrow, 4);
    } else if (dtype == DType::kBits) {
      if (values[i] != 0) bytes[i / 8] |= std::byte{1} << (i % 8);
    } else if (values[i] != 0) {
      bytes[i] = static_cast<std::byte>(1 + i % 255);
    }
  }
  map_[name] = {bytes.data(), dtype, layout};
}

TensorMap MaskTensors::Shapes() const {
  TensorMap shapes = map_;
  for (auto& [name, view] : shapes) view.data = nullptr;
  return shapes;
}

const MaskFunction& StripesFunction() {
  static const Stripes stripes;
  return stripes;
}

}  // namespace attn
