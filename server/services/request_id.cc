#include "server/services/request_id.h"

#include <algorithm>
#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

namespace attn {
namespace {

constexpr char kRequestId[] = "x-request-id";
constexpr char kRefusedRequestId[] = "x-request-id-refused";
constexpr char kTraceparent[] = "traceparent";

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(absl::string_view text) {
  return text.find_first_not_of('0') == absl::string_view::npos;
}

// version "-" trace-id "-" parent-id "-" flags, all lower-case hex of 2, 32, 16 and 2 digits.
// Versions after 00 may go on behind another "-"; ff is none. Empty if it is invalid.
absl::string_view TraceId(absl::string_view traceparent) {
  constexpr size_t kBytes = 55;
  if (traceparent.size() < kBytes) return {};
  const absl::string_view version = traceparent.substr(0, 2);
  const absl::string_view trace_id = traceparent.substr(3, 32);
  const absl::string_view parent_id = traceparent.substr(36, 16);
  const absl::string_view flags = traceparent.substr(53, 2);
  for (const size_t dash : {2, 35, 52}) {
    if (traceparent[dash] != '-') return {};
  }
  for (const absl::string_view part : {version, trace_id, parent_id, flags}) {
    if (!IsLowerHex(part)) return {};
  }
  const bool longer = traceparent.size() > kBytes;
  if (version == "ff" || IsZero(trace_id) || IsZero(parent_id)) return {};
  if (longer && (version == "00" || traceparent[kBytes] != '-')) return {};
  return trace_id;
}

// Unique, not secret: the cheap generator, seeded anew from the process's entropy pool.
std::string FreshId() {
  absl::InsecureBitGen bits;
  return absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(bits), absl::kZeroPad16),
                      absl::Hex(absl::Uniform<uint64_t>(bits), absl::kZeroPad16));
}

absl::string_view FirstValue(const grpc::CallbackServerContext& context, const char* key) {
  const auto& metadata = context.client_metadata();
  const auto value = metadata.find(key);
  if (value == metadata.end()) return {};
  return {value->second.data(), value->second.size()};
}

}  // namespace

RequestId ChooseRequestId(absl::string_view given, absl::string_view traceparent) {
  RequestId chosen;
  if (given.size() > kMaxRequestIdBytes) {
    chosen.refused = absl::StrCat(given.size(), " bytes, allowed: ", kMaxRequestIdBytes);
  } else if (!IsPrintable(given)) {
    chosen.refused = "holds a byte that is not printable ASCII";
  } else if (!given.empty()) {
    chosen.id = std::string(given);
    return chosen;
  }
  chosen.id = std::string(TraceId(traceparent));
  if (chosen.id.empty()) chosen.id = FreshId();
  return chosen;
}

RequestId ReadRequestId(const grpc::CallbackServerContext& context) {
  return ChooseRequestId(FirstValue(context, kRequestId), FirstValue(context, kTraceparent));
}

void EchoRequestId(const RequestId& id, grpc::CallbackServerContext* context) {
  context->AddTrailingMetadata(kRequestId, id.id);
  if (!id.refused.empty()) context->AddTrailingMetadata(kRefusedRequestId, id.refused);
}

}  // namespace attn
