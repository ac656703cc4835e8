#include "server/transport/wire_envelope.h"

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"

namespace attn {
namespace {

// A tag of one byte and a length of at most five: protobuf messages stay below 2 GiB.
constexpr size_t kMaxPrefixBytes = 6;
constexpr int kLengthDelimited = 2;

}  // namespace

absl::StatusOr<std::vector<ByteSpan>> OpenEnvelope(std::span<const ByteSpan> slices, int field) {
  std::array<uint8_t, kMaxPrefixBytes> prefix{};
  size_t prefix_bytes = 0;
  size_t total = 0;
  for (const ByteSpan& slice : slices) {
    total += slice.size();
    for (size_t i = 0; i < slice.size() && prefix_bytes < prefix.size(); ++i) {
      prefix[prefix_bytes++] = static_cast<uint8_t>(slice[i]);
    }
  }
  google::protobuf::io::CodedInputStream input(prefix.data(), static_cast<int>(prefix_bytes));
  uint32_t length = 0;
  const uint32_t tag = input.ReadTag();
  if (tag != static_cast<uint32_t>(field << 3 | kLengthDelimited) || !input.ReadVarint32(&length) ||
      static_cast<size_t>(input.CurrentPosition()) + length != total) {
    return absl::InvalidArgumentError(
        absl::StrCat("the message must hold field ", field, " once and nothing else"));
  }
  std::vector<ByteSpan> inner;
  inner.reserve(slices.size());
  size_t skip = static_cast<size_t>(input.CurrentPosition());
  for (const ByteSpan& slice : slices) {
    if (skip >= slice.size()) {
      skip -= slice.size();
      continue;
    }
    inner.push_back(slice.subspan(skip));
    skip = 0;
  }
  return inner;
}

}  // namespace attn
