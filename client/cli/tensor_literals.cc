#include "client/cli/tensor_literals.h"

#include <cstdint>
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

struct Elements {
  std::vector<const json*> items;
  bool truths = true;  // All of them are; likewise:
  bool integers = true;
  bool numbers = true;

  bool alike() const { return truths || numbers; }
};

// The elements of `list` in order; false if it has another shape.
bool Flatten(const json& list, const std::vector<int64_t>& shape, size_t axis, Elements* elements) {
  if (axis == shape.size()) {
    elements->truths = elements->truths && list.is_boolean();
    elements->integers = elements->integers && list.is_number_integer();
    elements->numbers = elements->numbers && list.is_number();
    elements->items.push_back(&list);
    return true;
  }
  if (!list.is_array() || static_cast<int64_t>(list.size()) != shape[axis]) return false;
  for (const json& item : list) {
    if (!Flatten(item, shape, axis + 1, elements)) return false;
  }
  return true;
}

template <typename T>
absl::StatusOr<AlignedBuffer> Stored(const Elements& elements) {
  const auto count = static_cast<int64_t>(elements.items.size());
  AlignedBuffer buffer = AlignedBuffer::Allocate(count * static_cast<int64_t>(sizeof(T)));
  if (buffer.data() == nullptr) return absl::ResourceExhaustedError("no memory left");
  auto* to = reinterpret_cast<T*>(buffer.data());
  for (const json* item : elements.items) *to++ = item->get<T>();
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
          "; allowed: NAME=LIST, the list of numbers, of truth values or of equal lists, as "
          "ids=[[0,0,1,1]]"));
    };
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return refuse("no name");
    const json list = json::parse(text.substr(equals + 1), nullptr, /*allow_exceptions=*/false);
    if (!list.is_array()) return refuse("no list");
    const std::vector<int64_t> shape = ShapeOf(list);
    Elements elements;
    const bool fits = !shape.empty() && static_cast<int>(shape.size()) <= kMaxRank &&
                      Flatten(list, shape, 0, &elements) && elements.alike();
    if (!fits) return refuse("not a list of numbers, of truth values or of equal lists");
    const DType dtype = elements.truths     ? DType::kUint8
                        : elements.integers ? DType::kInt64
                                            : DType::kFloat32;
    ATTN_ASSIGN_OR_RETURN(AlignedBuffer memory, elements.truths     ? Stored<uint8_t>(elements)
                                                : elements.integers ? Stored<int64_t>(elements)
                                                                    : Stored<float>(elements));
    const TensorView view = {memory.data(), dtype, TensorLayout::Contiguous(shape)};
    if (!literals.tensors.emplace(text.substr(0, equals), view).second) {
      return refuse("the name stands twice");
    }
    literals.memory.push_back(std::move(memory));
  }
  return literals;
}

}  // namespace attn::cli
