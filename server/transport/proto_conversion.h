// Small messages <-> core types: dtypes, masks, options, outputs, metadata.
#ifndef ATTN_SERVER_TRANSPORT_PROTO_CONVERSION_H_
#define ATTN_SERVER_TRANSPORT_PROTO_CONVERSION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/map.h"
#include "kernels/core/attention_problem.h"
#include "kernels/core/dtype.h"
#include "kernels/core/mask.h"
#include "kernels/core/options.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn {

using ProtoOptionMap = google::protobuf::Map<std::string, attention::v1::OptionValue>;

// INVALID_ARGUMENT names the field for an unspecified or unknown dtype.
absl::StatusOr<DType> FromProto(absl::string_view field, attention::v1::DataType dtype);
attention::v1::DataType ToProto(DType dtype);

// Structure only (alignment without causal or window, unknown enum values); IntervalMask::Create
// checks it against the shapes.
absl::StatusOr<MaskSpec> FromProto(const attention::v1::Mask& mask);
attention::v1::Mask ToProto(const MaskSpec& mask);

// INVALID_ARGUMENT for an empty value, a number that is not finite (it has no JSON form), nesting
// or count beyond limits.h.
absl::StatusOr<OptionMap> FromProto(const ProtoOptionMap& options);
void ToProto(const OptionMap& options, ProtoOptionMap* to);

// INVALID_ARGUMENT for negative numbers; each side of the grid is at least 1, its product at most
// query_len.
absl::StatusOr<TokenMetadata> FromProto(const attention::v1::CallMetadata& metadata,
                                        int64_t query_len);

// First unknown field of a message or of a message in it, as "Mask.9"; empty if there is none.
// Generated protobuf drops unknown fields of a map's entry (beside key and value) unseen.
std::string FindUnknownField(const google::protobuf::Message& message);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_PROTO_CONVERSION_H_
