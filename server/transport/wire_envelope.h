// The message inside a message that has one field: ExplainRequest around its AttendRequest.
#ifndef ATTN_SERVER_TRANSPORT_WIRE_ENVELOPE_H_
#define ATTN_SERVER_TRANSPORT_WIRE_ENVELOPE_H_

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "server/transport/wire_tensors.h"

namespace attn {

// The pieces of the length-delimited field number `field` (1 to 15) of a message given as
// consecutive slices; borrowed from them. INVALID_ARGUMENT unless that field stands exactly once
// and nothing else does.
absl::StatusOr<std::vector<ByteSpan>> OpenEnvelope(std::span<const ByteSpan> slices, int field);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_WIRE_ENVELOPE_H_
