// What a call asks to be done around its attention, of the wire -> core's: score modifiers, rotary
// embedding, replicated tokens, skipped scores, gates.
//
// Structure only: INVALID_ARGUMENT names the field where an enum has no or an unknown value, a
// number is out of its range, or a tensor that is needed has no name. Dtypes and shapes are left to
// whoever has the tensors.
#ifndef ATTN_SERVER_TRANSPORT_STAGES_CONVERSION_H_
#define ATTN_SERVER_TRANSPORT_STAGES_CONVERSION_H_

#include "absl/status/statusor.h"
#include "kernels/core/call_stages.h"
#include "kernels/core/score_modifiers.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn {

absl::StatusOr<ScoreModifiers> FromProto(const attention::v1::ScoreModifiers& modifiers);

absl::StatusOr<Rotary> FromProto(const attention::v1::Rotary& rotary);

// Without their lengths.
absl::StatusOr<ReplicatedTokens> FromProto(const attention::v1::ReplicatedTokens& replicated);

absl::StatusOr<SkipScores> FromProto(const attention::v1::SkipScores& skip);

absl::StatusOr<OutputGate> FromProto(const attention::v1::OutputGate& gate);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_STAGES_CONVERSION_H_
