#include "client/load/call_mix.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/load/random_tensor.h"

namespace attn::load {
namespace {

constexpr uint64_t kEntryStream = 1;

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input changes half of the
// output's.
uint64_t Mix(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
  return bits ^ (bits >> 31);
}

}  // namespace

double DrawUniform(uint64_t seed, uint64_t stream, int64_t index) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;  // Of SplitMix64: keeps neighbours apart.
  const uint64_t key = Mix(seed + kGolden * stream);
  return static_cast<double>(Mix(key + kGolden * static_cast<uint64_t>(index)) >> 11) * 0x1p-53;
}

absl::StatusOr<CallMix> CallMix::Create(const Workload& workload, uint64_t seed) {
  CallMix mix;
  mix.seed_ = seed;
  double weight = 0;
  uint64_t tensor_seed = seed;
  for (const Entry& entry : workload.entries) {
    AttendArguments call = {.request = entry.request};
    for (const TensorSpec& spec : entry.tensors) {
      absl::StatusOr<AlignedBuffer> data = RandomTensor(spec, tensor_seed++);
      if (!data.ok()) {
        return absl::Status(data.status().code(), absl::StrCat(entry.name, ": ", spec.name, ": ",
                                                               data.status().message()));
      }
      call.tensors.push_back({.name = spec.name,
                              .dtype = spec.dtype,
                              .shape = spec.shape,
                              .pattern = spec.pattern,
                              .heads = spec.heads,
                              .data = {data->data(), static_cast<size_t>(data->size())}});
      mix.data_.push_back(*std::move(data));
    }
    mix.calls_.push_back(std::move(call));
    mix.cumulative_weights_.push_back(weight += entry.weight);
  }
  if (!std::isfinite(weight)) {
    return absl::InvalidArgumentError(
        "weight: the sum of all is beyond a double; give smaller ones");
  }
  return mix;
}

size_t CallMix::Pick(int64_t index) const {
  const double place = DrawUniform(seed_, kEntryStream, index) * cumulative_weights_.back();
  const auto entry =
      std::upper_bound(cumulative_weights_.begin(), cumulative_weights_.end(), place);
  // Rounding may put the largest number at the very end.
  return std::min<size_t>(static_cast<size_t>(entry - cumulative_weights_.begin()),
                          calls_.size() - 1);
}

int64_t CallMix::payload_bytes(size_t entry) const {
  int64_t bytes = 0;
  for (const ClientTensor& tensor : calls_[entry].tensors) bytes += std::ssize(tensor.data);
  return bytes;
}

}  // namespace attn::load
