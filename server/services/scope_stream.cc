#include "server/services/scope_stream.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/alarm.h"
#include "kernels/core/status_macros.h"
#include "proto/attention/v1/attention.pb.h"
#include "server/policy/selection.h"
#include "server/services/small_message.h"
#include "server/transport/status_mapping.h"

namespace attn {

// One stream. gRPC's callbacks, the time-to-live and EndAll race; whoever comes first ends it, and
// what is sent is sent under the mutex: gRPC does not order a write and a finish of two threads.
// Kept alive by itself until gRPC is done with it; every caller of End holds a reference.
class ScopeStreams::Stream final : public ScopeReactor,
                                   public std::enable_shared_from_this<ScopeStreams::Stream> {
 public:
  Stream(ScopeStreams* streams, ScopeKind kind) : streams_(streams), kind_(kind) {}

  // To be called once, before anything else; gRPC may call back from here on.
  void KeepAlive() { self_ = shared_from_this(); }
  void Begin() { StartRead(&request_); }

  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    EndLocked(status);
  }

 private:
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_) return;
    ended_ = true;
    // Before the client learns of the end: what was in force before is in force again by then.
    if (opened()) policy().CloseScope(scope_id_).IgnoreError();
    expiry_.Cancel();
    Finish(ToGrpcStatus(status));
  }

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    if (!ok && opened()) return EndLocked(absl::OkStatus());
    if (!ok) {
      return EndLocked(absl::InvalidArgumentError(
          "the stream ended before its first message, which opens the scope"));
    }
    if (opened()) {
      return EndLocked(absl::InvalidArgumentError(
          "a second message: the first opens the scope, the stream's end closes it"));
    }
    if (const absl::Status status = Open(); !status.ok()) return EndLocked(status);
    StartWrite(&response_);
    StartRead(&request_);
  }

  absl::Status Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    attention::v1::HoldScopeRequest request;
    ATTN_RETURN_IF_ERROR(ReadSmallMessage(request_, &request));
    ATTN_RETURN_IF_ERROR(CheckInBuild(request.backend(), *streams_->registry_));
    ATTN_ASSIGN_OR_RETURN(
        const Scope scope,
        policy().OpenScope(kind_, request.backend(), absl::Milliseconds(request.time_to_live_ms()),
                           request.holder()));
    scope_id_ = scope.id;
    const absl::Duration time_to_live = scope.expires - scope.opened;
    attention::v1::HoldScopeResponse response;
    response.set_scope_id(scope_id_);
    response.set_time_to_live_ms(absl::ToInt64Milliseconds(time_to_live));
    response_ = WriteSmallMessage(response);
    // The alarm keeps its callback until it is destroyed, which is with this: a weak reference.
    expiry_.Set(absl::ToChronoTime(absl::Now() + time_to_live), [weak = weak_from_this(),
                                                                 time_to_live](bool expired) {
      const std::shared_ptr<Stream> self = weak.lock();
      if (!expired || self == nullptr) return;
      self->End(absl::DeadlineExceededError(absl::StrCat(
          "the scope's time-to-live of ", absl::FormatDuration(time_to_live), " is over")));
    });
    return absl::OkStatus();
  }

  bool opened() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !scope_id_.empty(); }
  PolicyState& policy() const { return *streams_->policy_; }

  void OnCancel() override { End(absl::CancelledError("the holder has gone")); }

  void OnDone() override {
    const std::shared_ptr<Stream> self = std::move(self_);
    streams_->Remove(this);
  }

  ScopeStreams* const streams_;
  const ScopeKind kind_;
  std::shared_ptr<Stream> self_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  grpc::Alarm expiry_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::string scope_id_ ABSL_GUARDED_BY(mutex_);  // Empty until opened.
};

// A stream that never was.
class RefusedStream final : public ScopeReactor {
 public:
  explicit RefusedStream(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

 private:
  void OnDone() override { delete this; }
};

ScopeStreams::ScopeStreams(PolicyState* policy, const Registry* registry)
    : policy_(policy), registry_(registry) {}

ScopeStreams::~ScopeStreams() = default;

ScopeReactor* ScopeStreams::Start(ScopeKind kind) {
  auto stream = std::make_shared<Stream>(this, kind);
  stream->KeepAlive();
  bool stopping = false;
  {
    absl::MutexLock lock(&mutex_);
    open_.insert(stream);
    stopping = ended_;
  }
  if (stopping) {
    stream->End(absl::UnavailableError("the server is draining"));
  } else {
    stream->Begin();
  }
  return stream.get();
}

ScopeReactor* ScopeStreams::Refuse(const absl::Status& status) { return new RefusedStream(status); }

void ScopeStreams::EndAll() {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    streams.assign(open_.begin(), open_.end());
  }
  for (const auto& stream : streams) {
    stream->End(absl::UnavailableError("the server is draining"));
  }
}

void ScopeStreams::Remove(Stream* stream) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(open_, [stream](const auto& open) { return open.get() == stream; });
}

}  // namespace attn
