#include "server/transport/proto_conversion.h"

#include <array>
#include <cmath>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/unknown_field_set.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_view.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

absl::StatusOr<OptionValue> ValueFromProto(const v1::OptionValue& from, int depth);

// `depth` is the number of lists around this one.
absl::StatusOr<OptionValue> ListFromProto(const v1::OptionList& from, int depth) {
  if (depth == kMaxOptionDepth) {
    return absl::InvalidArgumentError(absl::StrCat("lists nest deeper than ", kMaxOptionDepth));
  }
  if (from.values_size() > kMaxOptionElements) {
    return absl::InvalidArgumentError(absl::StrCat("a list of ", from.values_size(),
                                                   " elements, at most ", kMaxOptionElements,
                                                   " are allowed"));
  }
  OptionList list;
  list.reserve(static_cast<size_t>(from.values_size()));
  for (const v1::OptionValue& element : from.values()) {
    ATTN_ASSIGN_OR_RETURN(OptionValue value, ValueFromProto(element, depth + 1));
    list.push_back(std::move(value));
  }
  return OptionValue{std::move(list)};
}

absl::StatusOr<OptionValue> ValueFromProto(const v1::OptionValue& from, int depth) {
  switch (from.kind_case()) {
    case v1::OptionValue::kBoolValue:
      return OptionValue{from.bool_value()};
    case v1::OptionValue::kInt64Value:
      return OptionValue{from.int64_value()};
    case v1::OptionValue::kDoubleValue:
      if (!std::isfinite(from.double_value())) {
        return absl::InvalidArgumentError(
            absl::StrCat("number ", from.double_value(), " is not finite"));
      }
      return OptionValue{from.double_value()};
    case v1::OptionValue::kStringValue:
      return OptionValue{from.string_value()};
    case v1::OptionValue::kTensor:
      return OptionValue{TensorName{from.tensor()}};
    case v1::OptionValue::kList:
      return ListFromProto(from.list(), depth);
    case v1::OptionValue::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("no value is set");
}

v1::OptionValue ValueToProto(const OptionValue& from) {
  v1::OptionValue to;
  std::visit(
      [&to](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, bool>) {
          to.set_bool_value(held);
        } else if constexpr (std::is_same_v<Held, int64_t>) {
          to.set_int64_value(held);
        } else if constexpr (std::is_same_v<Held, double>) {
          to.set_double_value(held);
        } else if constexpr (std::is_same_v<Held, std::string>) {
          to.set_string_value(held);
        } else if constexpr (std::is_same_v<Held, TensorName>) {
          to.set_tensor(held.name);
        } else {
          v1::OptionList* list = to.mutable_list();
          for (const OptionValue& element : held) *list->add_values() = ValueToProto(element);
        }
      },
      from.value);
  return to;
}

absl::StatusOr<CausalAlignment> FromProto(v1::Mask::Alignment alignment) {
  switch (alignment) {
    case v1::Mask::TOP_LEFT:
      return CausalAlignment::kTopLeft;
    case v1::Mask::BOTTOM_RIGHT:
      return CausalAlignment::kBottomRight;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("mask.alignment ", static_cast<int>(alignment),
                       " is unknown, known: TOP_LEFT (1), BOTTOM_RIGHT (2)"));
  }
}

absl::Status RequireAtLeast(const char* field, int64_t value, int64_t least) {
  if (value >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("metadata.", field, " is ", value, ", at least ", least, " is required"));
}

absl::StatusOr<std::array<int64_t, 3>> FromProto(const v1::CallMetadata::Grid& grid,
                                                 int64_t query_len) {
  const std::array<int64_t, 3> sizes = {grid.t(), grid.h(), grid.w()};
  ATTN_RETURN_IF_ERROR(RequireAtLeast("grid.t", grid.t(), 1));
  ATTN_RETURN_IF_ERROR(RequireAtLeast("grid.h", grid.h(), 1));
  ATTN_RETURN_IF_ERROR(RequireAtLeast("grid.w", grid.w(), 1));
  const std::optional<int64_t> tokens = CheckedElementCount(sizes);
  if (!tokens.has_value() || *tokens > query_len) {
    return absl::InvalidArgumentError(absl::StrCat("metadata.grid ", grid.t(), " x ", grid.h(),
                                                   " x ", grid.w(), " exceeds the ", query_len,
                                                   " query tokens"));
  }
  return sizes;
}

std::string DTypeNames() {
  return absl::StrJoin(kAllDTypes, ", ", [](std::string* to, DType dtype) {
    absl::StrAppend(to, v1::DataType_Name(ToProto(dtype)));
  });
}

}  // namespace

absl::StatusOr<DType> FromProto(absl::string_view field, v1::DataType dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_FP32:
      return DType::kFloat32;
    case v1::DATA_TYPE_FP16:
      return DType::kFloat16;
    case v1::DATA_TYPE_BF16:
      return DType::kBFloat16;
    case v1::DATA_TYPE_INT32:
      return DType::kInt32;
    case v1::DATA_TYPE_INT64:
      return DType::kInt64;
    case v1::DATA_TYPE_UINT8:
      return DType::kUint8;
    case v1::DATA_TYPE_INT8:
      return DType::kInt8;
    case v1::DATA_TYPE_BITS:
      return DType::kBits;
    case v1::DATA_TYPE_UNSPECIFIED:
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": dtype is not given, known: ", DTypeNames()));
    default:
      return absl::InvalidArgumentError(absl::StrCat(field, ": dtype ", static_cast<int>(dtype),
                                                     " is unknown, known: ", DTypeNames()));
  }
}

v1::DataType ToProto(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return v1::DATA_TYPE_FP32;
    case DType::kFloat16:
      return v1::DATA_TYPE_FP16;
    case DType::kBFloat16:
      return v1::DATA_TYPE_BF16;
    case DType::kInt32:
      return v1::DATA_TYPE_INT32;
    case DType::kInt64:
      return v1::DATA_TYPE_INT64;
    case DType::kUint8:
      return v1::DATA_TYPE_UINT8;
    case DType::kInt8:
      return v1::DATA_TYPE_INT8;
    case DType::kBits:
      return v1::DATA_TYPE_BITS;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

absl::StatusOr<MaskSpec> FromProto(const v1::Mask& mask) {
  MaskSpec spec;
  spec.causal = mask.causal();
  if (mask.has_window()) spec.window = Window{mask.window().left(), mask.window().right()};
  if (mask.alignment() != v1::Mask::ALIGNMENT_UNSPECIFIED) {
    ATTN_ASSIGN_OR_RETURN(spec.alignment, FromProto(mask.alignment()));
    if (!spec.causal && !spec.window.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("mask.alignment ", v1::Mask::Alignment_Name(mask.alignment()),
                       " without mask.causal or mask.window, which it is of"));
    }
  }
  const std::pair<const char*, int> counts[] = {{"q_lengths", mask.q_lengths_size()},
                                                {"k_lengths", mask.k_lengths_size()},
                                                {"cu_seqlens_q", mask.cu_seqlens_q_size()},
                                                {"cu_seqlens_k", mask.cu_seqlens_k_size()}};
  for (const auto& [name, count] : counts) {
    if (count > kMaxSequences + 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "mask.", name, " has ", count, " entries, at most ", kMaxSequences + 1, " are allowed"));
    }
  }
  spec.q_lengths.assign(mask.q_lengths().begin(), mask.q_lengths().end());
  spec.k_lengths.assign(mask.k_lengths().begin(), mask.k_lengths().end());
  spec.cu_seqlens_q.assign(mask.cu_seqlens_q().begin(), mask.cu_seqlens_q().end());
  spec.cu_seqlens_k.assign(mask.cu_seqlens_k().begin(), mask.cu_seqlens_k().end());
  return spec;
}

v1::Mask ToProto(const MaskSpec& mask) {
  v1::Mask to;
  to.set_causal(mask.causal);
  if (mask.alignment.has_value()) {
    to.set_alignment(*mask.alignment == CausalAlignment::kTopLeft ? v1::Mask::TOP_LEFT
                                                                  : v1::Mask::BOTTOM_RIGHT);
  }
  if (mask.window.has_value()) {
    to.mutable_window()->set_left(mask.window->left);
    to.mutable_window()->set_right(mask.window->right);
  }
  to.mutable_q_lengths()->Add(mask.q_lengths.begin(), mask.q_lengths.end());
  to.mutable_k_lengths()->Add(mask.k_lengths.begin(), mask.k_lengths.end());
  to.mutable_cu_seqlens_q()->Add(mask.cu_seqlens_q.begin(), mask.cu_seqlens_q.end());
  to.mutable_cu_seqlens_k()->Add(mask.cu_seqlens_k.begin(), mask.cu_seqlens_k.end());
  return to;
}

absl::StatusOr<OptionMap> FromProto(const ProtoOptionMap& options) {
  if (options.size() > kMaxOptionsPerCall) {
    return absl::InvalidArgumentError(absl::StrCat(
        "options has ", options.size(), " entries, at most ", kMaxOptionsPerCall, " are allowed"));
  }
  OptionMap to;
  for (const auto& [name, value] : options) {
    absl::StatusOr<OptionValue> converted = ValueFromProto(value, 0);
    if (!converted.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("options[", Quoted(name), "]: ", converted.status().message()));
    }
    to.emplace(name, *std::move(converted));
  }
  return to;
}

void ToProto(const OptionMap& options, ProtoOptionMap* to) {
  to->clear();
  for (const auto& [name, value] : options) (*to)[name] = ValueToProto(value);
}

absl::StatusOr<TokenMetadata> FromProto(const v1::CallMetadata& metadata, int64_t query_len) {
  TokenMetadata to;
  if (metadata.has_timestep()) {
    ATTN_RETURN_IF_ERROR(RequireAtLeast("timestep", metadata.timestep(), 0));
    to.timestep = metadata.timestep();
  }
  if (metadata.has_layer()) {
    ATTN_RETURN_IF_ERROR(RequireAtLeast("layer", metadata.layer(), 0));
    to.layer = metadata.layer();
  }
  if (metadata.has_grid()) {
    ATTN_ASSIGN_OR_RETURN(to.grid, FromProto(metadata.grid(), query_len));
  }
  ATTN_RETURN_IF_ERROR(RequireAtLeast("text_length", metadata.text_length(), 0));
  to.text_length = metadata.text_length();
  return to;
}

std::string FindUnknownField(const google::protobuf::Message& message) {
  const google::protobuf::Reflection* reflection = message.GetReflection();
  const google::protobuf::UnknownFieldSet& unknown = reflection->GetUnknownFields(message);
  if (!unknown.empty()) {
    return absl::StrCat(message.GetDescriptor()->name(), ".", unknown.field(0).number());
  }
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    // Reflection shows a map as repeated entries.
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const google::protobuf::Message& part =
          field->is_repeated() ? reflection->GetRepeatedMessage(message, field, i)
                               : reflection->GetMessage(message, field);
      std::string found = FindUnknownField(part);
      if (!found.empty()) return found;
    }
  }
  return "";
}

}  // namespace attn
