#include "client/cli/tensor_literals.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "nlohmann/json.hpp"

namespace attn::cli {
namespace {

using nlohmann::json;

// The shape that the first elements show.
std::vector<int64_t> ShapeOf(const json& list) {
  std::vector<int64_t> shape;
  for (const json* level = &list; level->is_array() && !level->empty(); level = &level->front()) {
    shape.push_back(static_cast<int64_t>(level->size()));
  }
  return shape;
}

// Numbers of `list` in order; false if it has another shape or holds something else.
bool Flatten(const json& list, const std::vector<int64_t>& shape, size_t axis,
             std::vector<double>* numbers, bool* whole) {
  if (axis == shape.size()) {
    if (!list.is_number()) return false;
    *whole = *whole && list.is_number_integer();
    numbers->push_back(list.get<double>());
    return true;
  }
  if (!list.is_array() || static_cast<int64_t>(list.size()) != shape[axis]) return false;
  for (const json& item : list) {
    if (!Flatten(item, shape, axis + 1, numbers, whole)) return false;
  }
  return true;
}

template <typename T>
std::optional<AlignedBuffer> Stored(const std::vector<double>& numbers) {
  AlignedBuffer buffer = AlignedBuffer::Allocate(static_cast<int64_t>(numbers.size() * sizeof(T)));
  if (buffer.data() == nullptr) return std::nullopt;
  auto* to = reinterpret_cast<T*>(buffer.data());
  for (const double number : numbers) *to++ = static_cast<T>(number);
  return buffer;
}

}  // namespace

absl::StatusOr<TensorLiterals> ParseTensorLiterals(absl::string_view flag,
                                                   const std::vector<std::string>& texts) {
  TensorLiterals literals;
  for (const std::string& text : texts) {
    const auto refuse = [&](absl::string_view problem) {
      return absl::InvalidArgumentError(absl::StrCat(
          flag, ": ", Quoted(text), ": ", problem,
          "; allowed: NAME=LIST, the list of numbers or of equal lists, as ids=[0,0,1,1]"));
    };
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return refuse("no name");
    const json list = json::parse(text.substr(equals + 1), nullptr, /*allow_exceptions=*/false);
    if (!list.is_array()) return refuse("no list");
    const std::vector<int64_t> shape = ShapeOf(list);
    std::vector<double> numbers;
    bool whole = true;
    const bool fits = !shape.empty() && static_cast<int>(shape.size()) <= kMaxRank &&
                      Flatten(list, shape, 0, &numbers, &whole);
    if (!fits) return refuse("not a list of numbers or of equal lists");
    std::optional<AlignedBuffer> memory = whole ? Stored<int64_t>(numbers) : Stored<float>(numbers);
    if (!memory.has_value()) return absl::ResourceExhaustedError("no memory left");
    const TensorView view = {memory->data(), whole ? DType::kInt64 : DType::kFloat32,
                             TensorLayout::Contiguous(shape)};
    if (!literals.tensors.emplace(text.substr(0, equals), view).second) {
      return refuse("the name stands twice");
    }
    literals.memory.push_back(*std::move(memory));
  }
  return literals;
}

}  // namespace attn::cli
