// Selection and backends in the words of the contract.
#ifndef ATTN_SERVER_SERVICES_SELECTION_PROTO_H_
#define ATTN_SERVER_SERVICES_SELECTION_PROTO_H_

#include "kernels/core/registry.h"
#include "proto/attention/v1/attention.pb.h"
#include "server/policy/selection.h"

namespace attn {

// Without a backend only the refusals matter.
void ToProto(const Selection& selection, attention::v1::Selection* to);

// Every backend of the registry in the automatic order, then the canonical names that this build
// has no backend for; and the mask functions.
void ToProto(const Registry& registry, const PolicySnapshot& policy,
             attention::v1::ListBackendsResponse* to);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_SELECTION_PROTO_H_
