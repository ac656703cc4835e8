#include "tests/support/random_tensors.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/core/float16.h"
#include "kernels/core/tensor_pattern.h"

namespace attn {
namespace {

constexpr std::byte kPoison{0xff};

int64_t OffsetOf(const TensorLayout& layout, int64_t b, int64_t h, int64_t s, int64_t d) {
  return b * layout.strides[0] + h * layout.strides[1] + s * layout.strides[2] +
         d * layout.strides[3];
}

template <typename Visit>
void ForEachElement(const TensorLayout& layout, const Visit& visit) {
  for (int64_t b = 0; b < layout.dims[0]; ++b) {
    for (int64_t h = 0; h < layout.dims[1]; ++h) {
      for (int64_t s = 0; s < layout.dims[2]; ++s) {
        for (int64_t d = 0; d < layout.dims[3]; ++d) visit(b, h, s, d);
      }
    }
  }
}

}  // namespace

double ElementAt(const TensorView& view, int64_t b, int64_t h, int64_t s, int64_t d) {
  const int64_t offset = OffsetOf(view.layout, b, h, s, d);
  switch (view.dtype) {
    case DType::kFloat16:
      return Float16ToFloat(reinterpret_cast<const uint16_t*>(view.data)[offset]);
    case DType::kBFloat16:
      return BFloat16ToFloat(reinterpret_cast<const uint16_t*>(view.data)[offset]);
    default:
      return reinterpret_cast<const float*>(view.data)[offset];
  }
}

OwnedTensor::OwnedTensor(DType dtype, const std::string& pattern, int64_t batch, int64_t heads,
                         int64_t tokens, int64_t dim, int64_t padding) {
  TensorLayout layout =
      TensorPattern::Parse(pattern)->ShapeOf(batch, heads, tokens + padding, dim + padding).layout;
  const int64_t bytes = ByteSize(dtype, layout.element_count());
  buffer_ = AlignedBuffer::Allocate(bytes);
  std::fill_n(buffer_.data(), bytes, kPoison);
  layout.dims[2] = tokens;
  layout.dims[3] = dim;
  view_ = {buffer_.data(), dtype, layout};
}

void OwnedTensor::Set(int64_t b, int64_t h, int64_t s, int64_t d, double value) {
  const int64_t offset = OffsetOf(view_.layout, b, h, s, d);
  const auto rounded = static_cast<float>(value);
  switch (view_.dtype) {
    case DType::kFloat16:
      reinterpret_cast<uint16_t*>(view_.data)[offset] = FloatToFloat16(rounded);
      break;
    case DType::kBFloat16:
      reinterpret_cast<uint16_t*>(view_.data)[offset] = FloatToBFloat16(rounded);
      break;
    default:
      reinterpret_cast<float*>(view_.data)[offset] = rounded;
  }
}

void OwnedTensor::FillNormal(uint64_t seed, double deviation) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, deviation);
  ForEachElement(view_.layout, [&](int64_t b, int64_t h, int64_t s, int64_t d) {
    Set(b, h, s, d, normal(random));
  });
}

std::vector<double> OwnedTensor::Values() const {
  std::vector<double> values;
  ForEachElement(view_.layout, [&](int64_t b, int64_t h, int64_t s, int64_t d) {
    values.push_back(At(b, h, s, d));
  });
  return values;
}

std::vector<std::byte> OwnedTensor::Bytes() const {
  return {buffer_.data(), buffer_.data() + buffer_.size()};
}

bool OwnedTensor::GapsAreUntouched() const {
  std::vector<std::byte> gaps = Bytes();
  const int64_t width = BitWidth(view_.dtype) / 8;
  ForEachElement(view_.layout, [&](int64_t b, int64_t h, int64_t s, int64_t d) {
    std::fill_n(gaps.begin() + OffsetOf(view_.layout, b, h, s, d) * width, width, kPoison);
  });
  return std::all_of(gaps.begin(), gaps.end(), [](std::byte byte) { return byte == kPoison; });
}

OwnedCall::OwnedCall(const CallShape& shape) : shape_(shape) {
  const int64_t value_dim = shape.value_dim == 0 ? shape.head_dim : shape.value_dim;
  AttentionProblem& problem = call.problem;
  problem.batch = shape.batch;
  problem.heads = shape.heads;
  problem.kv_heads = shape.kv_heads;
  problem.query_len = shape.query_len;
  problem.key_len = shape.key_len;
  problem.head_dim = shape.head_dim;
  problem.value_dim = value_dim;
  problem.dtype = shape.dtype;
  problem.out_dtype = shape.out_dtype;
  problem.scale = shape.scale.value_or(1 / std::sqrt(static_cast<double>(shape.head_dim)));
  problem.mask = *IntervalMask::Create(shape.mask, shape.batch, shape.query_len, shape.key_len);
  problem.wanted.lse = true;
  problem.wanted.weights = shape.weights;
  q = OwnedTensor(shape.dtype, shape.pattern, shape.batch, shape.heads, shape.query_len,
                  shape.head_dim, shape.padding);
  k = OwnedTensor(shape.dtype, shape.pattern, shape.batch, shape.kv_heads, shape.key_len,
                  shape.head_dim, shape.padding);
  v = OwnedTensor(shape.dtype, shape.pattern, shape.batch, shape.kv_heads, shape.key_len, value_dim,
                  shape.padding);
  q.FillNormal(shape.seed * 3, shape.deviation);
  k.FillNormal(shape.seed * 3 + 1, shape.deviation);
  v.FillNormal(shape.seed * 3 + 2, 1);
  call.q = q.const_view();
  call.k = k.const_view();
  call.v = v.const_view();
  PoisonOutputs();
}

void OwnedCall::PoisonOutputs() {
  const AttentionProblem& problem = call.problem;
  out = OwnedTensor(shape_.out_dtype, shape_.out_pattern, problem.batch, problem.heads,
                    problem.query_len, problem.value_dim, shape_.padding);
  lse = OwnedTensor(DType::kFloat32, "b h s d", problem.batch, problem.heads, problem.query_len, 1);
  call.out = out.view();
  call.lse = lse.view();
  call.lse.layout.rank = 3;
  if (!shape_.weights) return;
  weights = OwnedTensor(DType::kFloat32, "b h s d", problem.batch, problem.heads, problem.query_len,
                        problem.key_len);
  call.weights = weights.view();
}

void OwnedCall::WantNoWeights() {
  shape_.weights = false;
  call.problem.wanted.weights = false;
  weights = OwnedTensor();
  call.weights = {};
}

}  // namespace attn
