// What a finished call sends back.
#ifndef ATTN_SERVER_SERVICES_RESPONSE_ENCODER_H_
#define ATTN_SERVER_SERVICES_RESPONSE_ENCODER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/core/block_plan.h"
#include "kernels/core/buffer_pool.h"
#include "proto/attention/v1/attention.pb.h"
#include "server/executor/call_observer.h"
#include "server/services/parsed_call.h"
#include "server/services/reply_ledger.h"
#include "server/transport/wire_tensors.h"

namespace attn {

struct ResponseParts {
  std::vector<WireTensor> tensors;  // Payloads lie in what `owner` keeps alive.
  std::shared_ptr<const void> owner;
  int64_t payload_bytes = 0;
};

// The outputs of `call`, whose memory `leases` holds in the same order, and the plan if there is
// one. Copies no payload. `ledger` counts it until gRPC has sent it.
ResponseParts LayOutResponse(const ParsedCall& call, std::vector<BufferPool::Lease> leases,
                             std::optional<BlockPlan> plan, ReplyLedger* ledger);

// What the caller is told of its call, of what is recorded of it. `block_density` is the run's.
void FillMetrics(const CallRecord& record, std::optional<double> block_density,
                 attention::v1::CallMetrics* metrics);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_RESPONSE_ENCODER_H_
