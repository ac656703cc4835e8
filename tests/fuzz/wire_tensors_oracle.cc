#include "tests/fuzz/wire_tensors_oracle.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/unknown_field_set.h"
#include "kernels/core/limits.h"

namespace attn {
namespace {

using attention::v1::AttendRequest;
using attention::v1::Tensor;

// Maps in the order of their keys; NaN payloads and unknown fields included.
std::string DeterministicBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  return bytes;
}

bool HasGroup(const google::protobuf::UnknownFieldSet& fields) {
  for (int i = 0; i < fields.field_count(); ++i) {
    if (fields.field(i).type() == google::protobuf::UnknownField::TYPE_GROUP) return true;
  }
  return false;
}

// Whether SplitTensors may refuse, for the reason it gives, what generated protobuf has read.
bool DeliberatelyRefused(const absl::Status& status, const AttendRequest& generated,
                         const std::string& bytes) {
  const std::string text(status.message());
  if (absl::EndsWith(text, "is a group; groups are not accepted")) {
    return HasGroup(generated.GetReflection()->GetUnknownFields(generated)) ||
           std::any_of(generated.tensors().begin(), generated.tensors().end(),
                       [](const Tensor& tensor) {
                         return HasGroup(tensor.GetReflection()->GetUnknownFields(tensor));
                       });
  }
  if (absl::EndsWith(text, absl::StrCat("more than ", kMaxTensorsPerCall, " tensors"))) {
    return generated.tensors_size() > kMaxTensorsPerCall;
  }
  if (absl::EndsWith(text, absl::StrCat("exceed ", kMaxTensorHeaderBytes, " bytes"))) {
    return static_cast<int64_t>(bytes.size()) > kMaxTensorHeaderBytes;
  }
  return absl::EndsWith(text, absl::StrCat("exceed ", kMaxSmallFieldBytes, " bytes")) &&
         static_cast<int64_t>(bytes.size()) > kMaxSmallFieldBytes;
}

std::string CompareContent(const WireMessage& split, const AttendRequest& small,
                           const AttendRequest& generated) {
  AttendRequest without_tensors = generated;
  without_tensors.clear_tensors();
  if (DeterministicBytes(small) != DeterministicBytes(without_tensors)) {
    return absl::StrCat("small fields differ: ", small.ShortDebugString(), " against ",
                        without_tensors.ShortDebugString());
  }
  if (static_cast<int>(split.tensors.size()) != generated.tensors_size()) {
    return absl::StrCat(split.tensors.size(), " tensors against ", generated.tensors_size());
  }
  for (int i = 0; i < generated.tensors_size(); ++i) {
    const WireTensor& tensor = split.tensors[static_cast<size_t>(i)];
    Tensor header = generated.tensors(i);
    header.clear_data();
    if (DeterministicBytes(tensor.header) != DeterministicBytes(header)) {
      return absl::StrCat("header of tensor ", i, " differs");
    }
    const std::string& data = generated.tensors(i).data();
    if (Concatenate(tensor.payload) != data ||
        tensor.payload_bytes != static_cast<int64_t>(data.size())) {
      return absl::StrCat("payload of tensor ", i, " differs");
    }
  }
  AttendRequest joined;
  if (!joined.ParseFromString(Concatenate(JoinTensors(small, split.tensors))) ||
      DeterministicBytes(joined) != DeterministicBytes(generated)) {
    return "JoinTensors does not restore the message";
  }
  return "";
}

}  // namespace

SlicedMessage::SlicedMessage(const std::string& bytes, std::span<const size_t> sizes) {
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  for (size_t begin = 0, i = 0; begin < bytes.size(); ++i) {
    const size_t end = std::min(bytes.size(), begin + sizes[i % sizes.size()]);
    blocks_.emplace_back(data + begin, data + end);
    begin = end;
  }
  slices_.assign(blocks_.begin(), blocks_.end());
}

std::string Concatenate(std::span<const ByteSpan> pieces) {
  std::string bytes;
  for (const ByteSpan& piece : pieces) {
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return bytes;
}

std::string Concatenate(std::span<const WirePiece> pieces) {
  std::string bytes;
  for (const WirePiece& piece : pieces) {
    bytes += piece.head;
    bytes += Concatenate(std::span(&piece.payload, 1));
  }
  return bytes;
}

std::string Describe(const absl::StatusOr<WireMessage>& result) {
  if (!result.ok()) return result.status().ToString();
  std::string text = absl::StrCat("small ", result->small_fields.size(), ":", result->small_fields);
  for (const WireTensor& tensor : result->tensors) {
    const std::string header = DeterministicBytes(tensor.header);
    absl::StrAppend(&text, " header ", header.size(), ":", header, " payload ",
                    tensor.payload_bytes, ":", Concatenate(tensor.payload));
  }
  return text;
}

std::string FindDisagreement(const std::string& bytes) {
  AttendRequest generated;
  const bool generated_accepts = generated.ParseFromString(bytes);
  const ByteSpan whole = std::as_bytes(std::span(bytes));
  const absl::StatusOr<WireMessage> split = SplitTensors(std::span(&whole, 1));
  if (!split.ok()) {
    if (!generated_accepts || DeliberatelyRefused(split.status(), generated, bytes)) return "";
    return absl::StrCat("generated protobuf accepts, SplitTensors says ",
                        split.status().ToString());
  }
  AttendRequest small;
  const bool small_accepted = small.ParseFromString(split->small_fields);
  if (small_accepted != generated_accepts) {
    return absl::StrCat("generated protobuf ", generated_accepts ? "accepts" : "refuses",
                        ", SplitTensors and its small fields do not");
  }
  return generated_accepts ? CompareContent(*split, small, generated) : "";
}

}  // namespace attn
