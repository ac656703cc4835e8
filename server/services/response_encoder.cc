#include "server/services/response_encoder.h"

#include <span>
#include <string>
#include <utility>

#include "server/transport/proto_conversion.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

// The plan as tensors: [batch, heads, Nq, Nk] levels and partial flags, offsets, permutations.
struct PlanTensors {
  std::vector<int64_t> shape;
  std::vector<int8_t> levels;
  std::vector<uint8_t> partial;
  std::vector<int32_t> q_offsets;
  std::vector<int32_t> k_offsets;
  std::vector<int32_t> q_permutation;
  std::vector<int32_t> k_permutation;
};

PlanTensors Densify(BlockPlan plan) {
  PlanTensors dense;
  dense.shape = {plan.batch, plan.heads, plan.query_blocks(), plan.key_blocks()};
  const int64_t rows = plan.batch * plan.heads * plan.query_blocks();
  const int64_t columns = plan.key_blocks();
  dense.levels.assign(static_cast<size_t>(rows * columns), 0);
  dense.partial.assign(static_cast<size_t>(rows * columns), 0);
  for (int64_t row = 0; row < rows; ++row) {
    const auto begin = plan.row_begin[static_cast<size_t>(row)];
    const auto end = plan.row_begin[static_cast<size_t>(row) + 1];
    for (int64_t i = begin; i < end; ++i) {
      const PlanEntry& entry = plan.entries[static_cast<size_t>(i)];
      const size_t at = static_cast<size_t>(row * columns + entry.key_block);
      dense.levels[at] = static_cast<int8_t>(entry.level);
      dense.partial[at] = entry.mask == BlockMask::kFull ? 0 : 1;
    }
  }
  dense.q_offsets = std::move(plan.q_offsets);
  dense.k_offsets = std::move(plan.k_offsets);
  dense.q_permutation = std::move(plan.q_permutation);
  dense.k_permutation = std::move(plan.k_permutation);
  return dense;
}

// What a reply keeps alive until gRPC has sent it.
struct ReplyMemory {
  explicit ReplyMemory(ReplyLedger* counted_in) : ledger(counted_in) {}
  ReplyMemory(const ReplyMemory&) = delete;
  ReplyMemory& operator=(const ReplyMemory&) = delete;
  ~ReplyMemory() {
    if (bytes > 0) ledger->Remove(bytes);
  }

  ReplyLedger* const ledger;
  int64_t bytes = 0;  // 0 = not counted yet, or nothing to send.
  std::vector<BufferPool::Lease> leases;
  PlanTensors plan;
};

template <typename T>
void Append(std::string name, DType dtype, std::vector<int64_t> shape, const std::vector<T>& values,
            ResponseParts* parts) {
  WireTensor tensor;
  tensor.header.set_name(std::move(name));
  tensor.header.set_dtype(ToProto(dtype));
  tensor.header.mutable_shape()->Assign(shape.begin(), shape.end());
  tensor.payload = {std::as_bytes(std::span(values))};
  tensor.payload_bytes = static_cast<int64_t>(values.size() * sizeof(T));
  parts->payload_bytes += tensor.payload_bytes;
  parts->tensors.push_back(std::move(tensor));
}

void AppendPlan(const PlanTensors& plan, ResponseParts* parts) {
  Append("plan_levels", DType::kInt8, plan.shape, plan.levels, parts);
  Append("plan_partial", DType::kUint8, plan.shape, plan.partial, parts);
  const std::pair<const char*, const std::vector<int32_t>*> vectors[] = {
      {"plan_q_offsets", &plan.q_offsets},
      {"plan_k_offsets", &plan.k_offsets},
      {"plan_q_permutation", &plan.q_permutation},
      {"plan_k_permutation", &plan.k_permutation},
  };
  for (const auto& [name, values] : vectors) {
    if (values->empty()) continue;
    Append(name, DType::kInt32, {static_cast<int64_t>(values->size())}, *values, parts);
  }
}

}  // namespace

ResponseParts LayOutResponse(const ParsedCall& call, std::vector<BufferPool::Lease> leases,
                             std::optional<BlockPlan> plan, ReplyLedger* ledger) {
  auto owner = std::make_shared<ReplyMemory>(ledger);
  owner->leases = std::move(leases);
  ResponseParts parts;
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const OutputTensor& output = call.outputs[i];
    WireTensor tensor;
    tensor.header.set_name(output.name);
    tensor.header.set_dtype(ToProto(output.dtype));
    tensor.header.mutable_shape()->Assign(output.shape.begin(), output.shape.end());
    tensor.header.set_pattern(output.pattern);
    tensor.header.set_heads(output.heads);
    tensor.payload = {ByteSpan(owner->leases[i].data(), static_cast<size_t>(output.bytes))};
    tensor.payload_bytes = output.bytes;
    parts.payload_bytes += output.bytes;
    parts.tensors.push_back(std::move(tensor));
  }
  if (plan) {
    owner->plan = Densify(*std::move(plan));
    AppendPlan(owner->plan, &parts);
  }
  owner->bytes = parts.payload_bytes;
  if (owner->bytes > 0) ledger->Add(owner->bytes);
  parts.owner = std::move(owner);
  return parts;
}

void FillMetrics(const CallRecord& record, std::optional<double> block_density,
                 v1::CallMetrics* metrics) {
  metrics->set_queue_ns(record.times.queue_ns);
  metrics->set_decode_ns(record.times.decode_ns);
  metrics->set_plan_ns(record.times.plan_ns);
  metrics->set_kernel_ns(record.times.kernel_ns);
  metrics->set_encode_ns(record.times.encode_ns);
  metrics->set_total_ns(record.times.total_ns);
  metrics->set_sparsity(record.sparsity);
  metrics->set_computed_flops(record.computed_flops);
  metrics->set_effective_flops(record.effective_flops);
  metrics->set_request_bytes(record.request_bytes);
  metrics->set_response_payload_bytes(record.response_bytes);
  metrics->set_batch_calls(record.batch_calls);
  if (block_density) metrics->set_block_sparsity(1.0 - *block_density);
}

}  // namespace attn
