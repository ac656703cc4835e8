#include "tests/support/random_tensors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/core/float16.h"
#include "kernels/core/tensor_pattern.h"
#include "tests/support/named_masks.h"

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
  if (!shape.expression.empty()) {
    expression = NamedMask(shape.expression, problem.sizes());
    problem.expression = expression.Create();
    call.extra = expression.tensors.map();
  }
  AddModifiers();
  call.idle_samples = shape.idle_samples;
  PoisonOutputs();
}

void OwnedCall::AddModifiers() {
  const ModifierShape& shape = shape_.modifiers;
  ScoreModifiers& modifiers = call.problem.modifiers;
  modifiers.softcap = shape.softcap;
  if (!shape.bias.empty()) {
    bias = OwnedTensor(shape.dtype, "b h s d", shape.bias[0], shape.bias[1], shape.bias[2],
                       shape.bias[3]);
    bias.FillNormal(shape_.seed * 3 + 5, 1.5);
    std::mt19937_64 random(shape_.seed);
    std::bernoulli_distribution hidden(shape.hidden);
    ForEachElement(bias.view().layout, [&](int64_t b, int64_t h, int64_t s, int64_t d) {
      if (hidden(random)) bias.Set(b, h, s, d, -std::numeric_limits<double>::infinity());
    });
    modifiers.bias = "bias";
    call.extra["bias"] = bias.const_view();
  }
  const int64_t heads = shape_.heads;
  if (shape.slopes_rank != 0) {
    const int64_t samples = shape.slopes_rank == 2 ? shape_.batch : 1;
    slopes = OwnedTensor(shape.dtype, "b h s d", 1, 1, samples, heads);
    ForEachElement(slopes.view().layout, [&](int64_t, int64_t, int64_t b, int64_t h) {
      slopes.Set(0, 0, b, h, std::ldexp(1.0 + static_cast<double>(b), -1 - static_cast<int>(h)));
    });
    modifiers.alibi_slopes = "slopes";
    call.extra["slopes"] = {slopes.view().data, shape.dtype,
                            shape.slopes_rank == 2
                                ? TensorLayout::Contiguous(std::array{samples, heads})
                                : TensorLayout::Contiguous(std::array{heads})};
  }
  if (shape.sinks) {
    sinks = OwnedTensor(shape.dtype, "b h s d", 1, 1, 1, heads);
    sinks.FillNormal(shape_.seed * 3 + 6, 1);
    const double usual = std::log(static_cast<double>(shape_.key_len));
    for (int64_t h = 0; h < heads; ++h) sinks.Set(0, 0, 0, h, sinks.At(0, 0, 0, h) + usual);
    modifiers.sinks = "sinks";
    call.extra["sinks"] = {sinks.view().data, shape.dtype,
                           TensorLayout::Contiguous(std::array{heads})};
  }
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
