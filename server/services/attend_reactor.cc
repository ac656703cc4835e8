#include "server/services/attend_reactor.h"

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "kernels/core/saturating.h"
#include "kernels/core/status_macros.h"
#include "server/executor/refusal.h"
#include "server/policy/selection.h"
#include "server/services/attend_job.h"
#include "server/services/cancellation.h"
#include "server/services/parsed_call.h"
#include "server/services/request_id.h"
#include "server/services/response_encoder.h"
#include "server/services/selection_proto.h"
#include "server/transport/byte_buffer.h"
#include "server/transport/status_mapping.h"
#include "server/transport/wire_tensors.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

// Whoever refuses for want of room says when to come again; where memory gave out nobody can tell.
constexpr absl::Duration kRetryWithoutMemory = absl::Seconds(1);

std::optional<absl::Duration> RetryHint(const absl::Status& status) {
  const std::optional<absl::Duration> said = RetryAfter(status);
  const bool may_fit = status.code() == absl::StatusCode::kResourceExhausted &&
                       RefusalReason(status) != kRefusedTooLarge;
  return said || !may_fit ? said : kRetryWithoutMemory;
}

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
        peer_(context->peer()),
        request_id_(ReadRequestId(*context)),
        cancellation_(std::make_shared<Cancellation>(services.executor)) {
    record_.request_id = request_id_.id;
    record_.transport = absl::StartsWith(peer_, "unix") ? "unix" : "tcp";
    record_.backend = "none";
    record_.device = "none";
  }

  void Start(const grpc::ByteBuffer& request) {
    services_.observer->OnCallStarted();
    record_.request_bytes = static_cast<int64_t>(request.Length());
    // gRPC starts a call without a message if its caller goes before that is there, and if it takes
    // the caller's stream back because max_receive_bytes is full.
    if (!request.Valid()) {
      return End(CallEnd::kCancelled, CallStage::kReading,
                 Gone("the request had arrived, or max_receive_bytes was full"));
    }
    if (absl::Status status = Submit(request); !status.ok()) {
      End(CallEnd::kRefused, CallStage::kReading, std::move(status));
    }
  }

 private:
  // Everything up to admission. After an OK return the reactor may be gone.
  absl::Status Submit(const grpc::ByteBuffer& request) {
    ATTN_RETURN_IF_ERROR(services_.replies->Admit());
    ATTN_ASSIGN_OR_RETURN(message_, ReceivedMessage::Take(request));
    ATTN_RETURN_IF_ERROR(Read());
    Job job;
    ATTN_RETURN_IF_ERROR(BuildJob(&job));
    reading_ns_ = absl::ToInt64Nanoseconds(absl::Now() - started_);

    // From Submit on, the reply may be sent at any moment and `this` be gone.
    const std::shared_ptr<Cancellation> cancellation = cancellation_;
    ATTN_ASSIGN_OR_RETURN(const JobId id, services_.executor->Submit(std::move(job)));
    cancellation->SetJob(id);
    return absl::OkStatus();
  }

  // What the call asks for, and which backend serves it.
  absl::Status Read() {
    ATTN_ASSIGN_OR_RETURN(WireMessage wire, SplitTensors(message_->spans()));
    v1::AttendRequest fields;
    if (!fields.ParseFromString(wire.small_fields)) {
      return absl::InvalidArgumentError(kUnreadable);
    }
    // Before anything else is refused: the log says whose call it was.
    record_.caller_id = caller_id_ = fields.metadata().caller_id();
    record_.model = model_ = fields.model();
    ATTN_ASSIGN_OR_RETURN(call_, ParseCall(fields, std::move(wire.tensors), PayloadRule::kRequired,
                                           services_.registry->mask_functions()));
    record_.priority = call_.priority;
    ATTN_ASSIGN_OR_RETURN(selection_, Select(*services_.policy->Snapshot(), *services_.registry,
                                             call_.selection, call_.problem));
    record_.backend = selection_.backend->info().name;
    record_.device = selection_.backend->info().device;
    record_.rule = Name(selection_.rule);
    return absl::OkStatus();
  }

  absl::Status BuildJob(Job* job) {
    job->backend = selection_.backend;
    job->call.problem = call_.problem;
    job->call.options = selection_.options;
    job->priority = call_.priority;
    job->dense_flops = DenseFlops(call_.problem);
    job->deadline = DeadlineOf(*context_);
    // Anonymous callers take turns by connection (over a Unix socket they are one caller).
    job->caller_id = caller_id_.empty() ? peer_ : caller_id_;
    ATTN_ASSIGN_OR_RETURN(const int64_t placed_bytes, BytesToPlace(call_));
    job->reserved_bytes =
        SaturatingAdd(record_.request_bytes + placed_bytes,
                      selection_.backend->WorkspaceBytes(call_.problem, selection_.options));
    job->place = [this](AttentionCall& call, std::vector<PayloadCopy>& copies) {
      return PlaceTensors(&call_, services_.buffers, &call, &copies, &memory_);
    };
    job->done = [this](JobOutcome outcome) { Reply(std::move(outcome)); };
    return absl::OkStatus();
  }

  // On a thread of the executor, once.
  void Reply(JobOutcome outcome) {
    record_.times = outcome.times;
    record_.times.decode_ns += reading_ns_;
    record_.batch_calls = outcome.batch_calls;
    services_.faults->Record(selection_.backend->info().name, outcome.status);
    memory_.inputs.clear();
    message_.reset();
    if (!outcome.status.ok()) {
      return End(outcome.end, outcome.stage, std::move(outcome.status));
    }
    if (cancellation_->cancelled()) {
      return End(CallEnd::kCancelled, CallStage::kReplying, Gone("the reply was laid out"));
    }
    // The last memory that a call takes; what fails for want of it is this call alone.
    try {
      Encode(std::move(outcome.result));
    } catch (const std::bad_alloc&) {
      record_.response_bytes = 0;
      return End(CallEnd::kFinished, CallStage::kReplying,
                 absl::ResourceExhaustedError("no memory left to lay out the reply"));
    }
    End(CallEnd::kFinished, CallStage::kReplying, absl::OkStatus());
  }

  // Of a caller that waits no more.
  absl::Status Gone(absl::string_view before) const {
    if (DeadlineOf(*context_) <= absl::Now()) {
      return absl::DeadlineExceededError(absl::StrCat("the deadline passed before ", before));
    }
    return absl::CancelledError(absl::StrCat("the caller went away before ", before));
  }

  void Encode(RunResult result) {
    const absl::Time encoding = absl::Now();
    const RunStats& stats = result.stats;
    record_.sparsity = stats.sparsity();
    record_.computed_flops = call_.problem.Flops(stats.computed_elements) + stats.extra_flops;
    record_.effective_flops = call_.problem.Flops(stats.dense_elements);
    ResponseParts parts = LayOutResponse(call_, std::move(memory_.outputs), std::move(result.plan),
                                         services_.replies);
    record_.response_bytes = parts.payload_bytes;
    v1::AttendResponse fields;
    ToProto(selection_, fields.mutable_selection());
    const absl::Time now = absl::Now();
    record_.times.encode_ns = absl::ToInt64Nanoseconds(now - encoding);
    record_.times.total_ns = absl::ToInt64Nanoseconds(now - started_);
    FillMetrics(record_, stats.block_density, fields.mutable_metrics());
    *response_ = ToByteBuffer(JoinTensors(fields, parts.tensors), std::move(parts.owner));
  }

  // The one place where a call ends, well or not. It is counted before its answer is sent: who has
  // the answer finds it in the metrics.
  void End(CallEnd end, CallStage stage, absl::Status status) {
    record_.end = end;
    record_.stage = stage;
    if (end == CallEnd::kRefused) record_.refusal = RefusalReason(status);
    if (record_.times.total_ns == 0) {
      record_.times.total_ns = absl::ToInt64Nanoseconds(absl::Now() - started_);
    }
    record_.status = std::move(status);
    services_.observer->OnCallEnded(record_);
    EchoRequestId(request_id_, context_);
    if (const std::optional<absl::Duration> delay = RetryHint(record_.status)) {
      context_->AddTrailingMetadata("retry-after-ms",
                                    absl::StrCat(absl::ToInt64Milliseconds(*delay)));
    }
    Finish(ToGrpcStatus(record_.status));
  }

  void OnCancel() override { cancellation_->Cancel(); }
  void OnDone() override { delete this; }

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  const absl::Time started_;
  const std::string peer_;
  const RequestId request_id_;
  const std::shared_ptr<Cancellation> cancellation_;

  std::optional<ReceivedMessage> message_;  // Until the call has run.
  std::string caller_id_;
  std::string model_;
  ParsedCall call_;
  Selection selection_;
  CallMemory memory_;
  int64_t reading_ns_ = 0;
  CallRecord record_;  // As far as it is known; its views point to the members above.
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
