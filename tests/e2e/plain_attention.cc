#include "tests/e2e/plain_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

namespace attn {
namespace {

namespace v1 = attention::v1;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

int64_t Count(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

template <typename T>
void Add(const std::string& name, v1::DataType dtype, const std::vector<int64_t>& shape,
         const std::vector<T>& values, v1::AttendRequest* request) {
  v1::Tensor* tensor = request->add_tensors();
  tensor->set_name(name);
  tensor->set_dtype(dtype);
  tensor->mutable_shape()->Assign(shape.begin(), shape.end());
  tensor->set_data(values.data(), values.size() * sizeof(T));
}

}  // namespace

double PlainTensor::At(int64_t b, int64_t h, int64_t s, int64_t d) const {
  return values[static_cast<size_t>(((b * shape[1] + h) * shape[2] + s) * shape[3] + d)];
}

PlainTensor RandomTensor(const std::vector<int64_t>& shape, int seed) {
  std::mt19937 random(static_cast<uint32_t>(seed));
  PlainTensor tensor{shape, std::vector<float>(static_cast<size_t>(Count(shape)))};
  for (float& value : tensor.values) {
    value = static_cast<float>(static_cast<double>(random()) / 2147483648.0 - 1.0);
  }
  return tensor;
}

PlainTensor JoinTokens(const PlainTensor& first, const PlainTensor& second) {
  PlainTensor joined{
      {first.shape[0], first.shape[1], first.shape[2] + second.shape[2], first.shape[3]}, {}};
  for (int64_t row = 0; row < first.shape[0] * first.shape[1]; ++row) {
    for (const PlainTensor* part : {&first, &second}) {
      const int64_t size = part->shape[2] * part->shape[3];
      const auto begin = part->values.begin() + row * size;
      joined.values.insert(joined.values.end(), begin, begin + size);
    }
  }
  return joined;
}

void AddTensor(const std::string& name, const PlainTensor& tensor, v1::AttendRequest* request) {
  Add(name, v1::DATA_TYPE_FP32, tensor.shape, tensor.values, request);
}

void AddIntegers(const std::string& name, const std::vector<int64_t>& shape,
                 const std::vector<int32_t>& values, v1::AttendRequest* request) {
  Add(name, v1::DATA_TYPE_INT32, shape, values, request);
}

PlainInputs RandomInputs(int64_t batch, int64_t heads, int64_t kv_heads, int64_t query_len,
                         int64_t key_len, int64_t dim) {
  return {RandomTensor({batch, heads, query_len, dim}, 1),
          RandomTensor({batch, kv_heads, key_len, dim}, 2),
          RandomTensor({batch, kv_heads, key_len, dim}, 3)};
}

v1::AttendRequest RequestOf(const PlainInputs& inputs) {
  v1::AttendRequest request;
  AddTensor("q", inputs.q, &request);
  AddTensor("k", inputs.k, &request);
  AddTensor("v", inputs.v, &request);
  return request;
}

PlainResult PlainAttention(const PlainInputs& inputs, const PlainScore& score,
                           const std::vector<float>& sinks) {
  const PlainTensor& q = inputs.q;
  const PlainTensor& k = inputs.k;
  const int64_t group = q.shape[1] / k.shape[1];
  const int64_t keys = k.shape[2];
  const int64_t dim = q.shape[3];
  PlainResult result;
  result.out.shape = {q.shape[0], q.shape[1], q.shape[2], inputs.v.shape[3]};
  for (int64_t b = 0; b < q.shape[0]; ++b) {
    for (int64_t h = 0; h < q.shape[1]; ++h) {
      for (int64_t i = 0; i < q.shape[2]; ++i) {
        std::vector<double> weights(static_cast<size_t>(keys));
        double sum = sinks.empty() ? 0 : std::exp(sinks[static_cast<size_t>(h)]);
        for (int64_t j = 0; j < keys; ++j) {
          double s = 0;
          for (int64_t d = 0; d < dim; ++d) s += q.At(b, h, i, d) * k.At(b, h / group, j, d);
          s = score(b, h, i, j, s / std::sqrt(static_cast<double>(dim)));
          sum += weights[static_cast<size_t>(j)] = std::exp(s);
        }
        result.lse.push_back(std::log(sum));
        for (int64_t d = 0; d < inputs.v.shape[3]; ++d) {
          double out = 0;
          for (int64_t j = 0; j < keys; ++j) {
            out += weights[static_cast<size_t>(j)] * inputs.v.At(b, h / group, j, d);
          }
          result.out.values.push_back(static_cast<float>(sum == 0 ? 0 : out / sum));
        }
      }
    }
  }
  return result;
}

PlainTensor OutputOf(const v1::AttendResponse& response, const std::string& name) {
  PlainTensor tensor;
  for (const v1::Tensor& output : response.outputs()) {
    if (output.name() != name || output.dtype() != v1::DATA_TYPE_FP32) continue;
    tensor.shape = {output.shape().begin(), output.shape().end()};
    tensor.values.resize(output.data().size() / sizeof(float));
    std::memcpy(tensor.values.data(), output.data().data(), output.data().size());
  }
  return tensor;
}

double Distance(const PlainTensor& a, const PlainTensor& b) {
  if (a.shape != b.shape || a.values.size() != b.values.size()) return kInfinity;
  double largest = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    const double distance = std::abs(static_cast<double>(a.values[i]) - b.values[i]);
    if (a.values[i] == b.values[i]) continue;  // Infinities too.
    largest = distance <= kInfinity ? std::max(largest, distance) : kInfinity;
  }
  return largest;
}

}  // namespace attn
