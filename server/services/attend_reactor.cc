#include "server/services/attend_reactor.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/core/status_macros.h"
#include "server/policy/selection.h"
#include "server/services/parsed_call.h"
#include "server/services/response_encoder.h"
#include "server/services/selection_proto.h"
#include "server/transport/byte_buffer.h"
#include "server/transport/status_mapping.h"
#include "server/transport/wire_tensors.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

// Protobuf's own bound on a message; leaves room for the small fields.
constexpr int64_t kMaxResponsePayloadBytes = std::numeric_limits<int32_t>::max() - (1 << 20);

// Joins a job's id, known after Submit, with a cancellation that may come before. Outlives both
// the reactor and the job.
class Cancellation {
 public:
  explicit Cancellation(Executor* executor) : executor_(executor) {}

  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (id_) executor_->Cancel(*id_);
  }

  void SetJob(JobId id) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    id_ = id;
    if (cancelled_) executor_->Cancel(id);
  }

 private:
  Executor* const executor_;
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<JobId> id_ ABSL_GUARDED_BY(mutex_);
};

absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return absl::FromChrono(deadline);
}

class AttendReactor final : public grpc::ServerUnaryReactor {
 public:
  AttendReactor(const ServiceContext& services, grpc::CallbackServerContext* context,
                grpc::ByteBuffer* response)
      : services_(services),
        context_(context),
        response_(response),
        started_(absl::Now()),
        cancellation_(std::make_shared<Cancellation>(services.executor)) {}

  void Start(const grpc::ByteBuffer& request) {
    if (absl::Status status = Submit(request); !status.ok()) End(std::move(status));
  }

 private:
  // Everything up to admission. After an OK return the reactor may be gone.
  absl::Status Submit(const grpc::ByteBuffer& request) {
    ATTN_RETURN_IF_ERROR(services_.replies->Admit());
    ATTN_ASSIGN_OR_RETURN(message_, ReceivedMessage::Take(request));
    request_bytes_ = message_->size();
    ATTN_ASSIGN_OR_RETURN(WireMessage wire, SplitTensors(message_->spans()));
    v1::AttendRequest fields;
    if (!fields.ParseFromString(wire.small_fields)) {
      return absl::InvalidArgumentError("the message is no attention.v1.AttendRequest");
    }
    ATTN_ASSIGN_OR_RETURN(call_,
                          ParseCall(fields, std::move(wire.tensors), PayloadRule::kRequired));
    ATTN_ASSIGN_OR_RETURN(selection_, Select(*services_.policy->Snapshot(), *services_.registry,
                                             call_.selection, call_.problem));
    Job job;
    ATTN_RETURN_IF_ERROR(BuildJob(&job));
    reading_ns_ = absl::ToInt64Nanoseconds(absl::Now() - started_);

    // From Submit on, the reply may be sent at any moment and `this` be gone.
    const std::shared_ptr<Cancellation> cancellation = cancellation_;
    ATTN_ASSIGN_OR_RETURN(const JobId id, services_.executor->Submit(std::move(job)));
    cancellation->SetJob(id);
    return absl::OkStatus();
  }

  absl::Status BuildJob(Job* job) {
    job->backend = selection_.backend;
    job->call.problem = call_.problem;
    job->call.options = selection_.options;
    job->deadline = DeadlineOf(*context_);
    // Anonymous callers take turns by connection (over a Unix socket they are one caller).
    job->caller_id = call_.caller_id.empty() ? context_->peer() : call_.caller_id;
    job->reserved_bytes = selection_.backend->WorkspaceBytes(call_.problem);
    ATTN_RETURN_IF_ERROR(PlaceInputs(job));
    ATTN_RETURN_IF_ERROR(PlaceOutputs(job));
    job->done = [this](JobOutcome outcome) { Reply(std::move(outcome)); };
    return absl::OkStatus();
  }

  // A payload that arrived in one piece, aligned for its dtype, is read where it lies; any other
  // is gathered by the workers, its one copy.
  absl::Status PlaceInputs(Job* job) {
    for (InputTensor& input : call_.inputs) {
      TensorView view{nullptr, input.dtype, input.layout};
      if (input.payload.size() == 1 && IsAligned(input.payload[0].data(), input.dtype)) {
        view.data = input.payload[0].data();
      } else {
        ATTN_ASSIGN_OR_RETURN(BufferPool::Lease lease, services_.buffers->Take(input.bytes));
        view.data = lease.data();
        job->copies.push_back({lease.data(), std::move(input.payload)});
        job->reserved_bytes += input.bytes;
        input_leases_.push_back(std::move(lease));
      }
      if (input.name == "q") {
        job->call.q = view;
      } else if (input.name == "k") {
        job->call.k = view;
      } else if (input.name == "v") {
        job->call.v = view;
      } else {
        job->call.extra.emplace(input.name, view);
      }
    }
    job->reserved_bytes += request_bytes_;
    return absl::OkStatus();
  }

  static bool IsAligned(const std::byte* data, DType dtype) {
    const uintptr_t bytes = static_cast<uintptr_t>(std::max(1, BitWidth(dtype) / 8));
    return reinterpret_cast<uintptr_t>(data) % bytes == 0;
  }

  absl::Status PlaceOutputs(Job* job) {
    int64_t total = 0;
    for (const OutputTensor& output : call_.outputs) total += output.bytes;
    if (total > kMaxResponsePayloadBytes) {
      return absl::ResourceExhaustedError(absl::StrCat("the outputs would have ", total,
                                                       " bytes, at most ", kMaxResponsePayloadBytes,
                                                       " fit one response"));
    }
    job->reserved_bytes += total;
    for (const OutputTensor& output : call_.outputs) {
      ATTN_ASSIGN_OR_RETURN(BufferPool::Lease lease, services_.buffers->Take(output.bytes));
      const MutableTensorView view{lease.data(), output.dtype, output.layout};
      if (output.name == "out") {
        job->call.out = view;
      } else if (output.name == "lse") {
        job->call.lse = view;
      } else {
        job->call.weights = view;
      }
      output_leases_.push_back(std::move(lease));
    }
    return absl::OkStatus();
  }

  // On a worker, once.
  void Reply(JobOutcome outcome) {
    times_ = outcome.times;
    times_.decode_ns += reading_ns_;
    services_.faults->Record(selection_.backend->info().name, outcome.status);
    input_leases_.clear();
    message_.reset();
    if (!outcome.status.ok()) return End(std::move(outcome.status));
    // The last memory that a call takes; what fails for want of it is this call alone.
    try {
      Encode(std::move(outcome.result));
    } catch (const std::bad_alloc&) {
      return End(absl::ResourceExhaustedError("no memory left to lay out the reply"));
    }
    End(absl::OkStatus());
  }

  void Encode(RunResult result) {
    const absl::Time encoding = absl::Now();
    sparsity_ = result.stats.sparsity();
    ResponseParts parts =
        LayOutResponse(call_, std::move(output_leases_), std::move(result.plan), services_.replies);
    v1::AttendResponse fields;
    ToProto(selection_, fields.mutable_selection());
    const absl::Time now = absl::Now();
    times_.encode_ns = absl::ToInt64Nanoseconds(now - encoding);
    times_.total_ns = absl::ToInt64Nanoseconds(now - started_);
    FillMetrics(call_.problem, result.stats, times_, request_bytes_, parts.payload_bytes,
                fields.mutable_metrics());
    *response_ = ToByteBuffer(JoinTensors(fields, parts.tensors), std::move(parts.owner));
  }

  // The one place where a call ends, well or not.
  void End(absl::Status status) {
    if (times_.total_ns == 0) times_.total_ns = absl::ToInt64Nanoseconds(absl::Now() - started_);
    CallRecord record;
    record.backend = "none";
    record.device = "none";
    if (selection_.backend != nullptr) {
      record.backend = selection_.backend->info().name;
      record.device = selection_.backend->info().device;
      record.rule = Name(selection_.rule);
    }
    record.status = status;
    record.times = times_;
    record.sparsity = sparsity_;
    services_.observer->OnCallEnded(record);
    if (const std::optional<absl::Duration> delay = RetryAfter(status)) {
      context_->AddTrailingMetadata("retry-after-ms",
                                    absl::StrCat(absl::ToInt64Milliseconds(*delay)));
    }
    Finish(ToGrpcStatus(status));
  }

  void OnCancel() override { cancellation_->Cancel(); }
  void OnDone() override { delete this; }

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  const absl::Time started_;
  const std::shared_ptr<Cancellation> cancellation_;

  std::optional<ReceivedMessage> message_;  // Until the call has run.
  int64_t request_bytes_ = 0;
  ParsedCall call_;
  Selection selection_;
  std::vector<BufferPool::Lease> input_leases_;
  std::vector<BufferPool::Lease> output_leases_;
  int64_t reading_ns_ = 0;
  StageTimes times_;
  double sparsity_ = 0;
};

}  // namespace

grpc::ServerUnaryReactor* StartAttend(const ServiceContext& services,
                                      grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* reactor = new AttendReactor(services, context, response);
  reactor->Start(*request);
  return reactor;
}

}  // namespace attn
