#include "server/services/scope_stream.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/alarm.h"
#include "server/transport/proto_conversion.h"
#include "server/transport/status_mapping.h"

namespace attn {

// One stream. gRPC's callbacks, the time-to-live and EndAll race; whoever comes first ends it.
// Kept alive by itself until gRPC is done with it, and by the alarm until that has fired.
class ScopeStream final : public ScopeReactor, public std::enable_shared_from_this<ScopeStream> {
 public:
  ScopeStream(ScopeStreams* streams, PolicyState* policy, ScopeKind kind)
      : streams_(streams), policy_(policy), kind_(kind) {}

  // To be called once, before anything else; gRPC may call back from here on.
  void KeepAlive() { self_ = shared_from_this(); }
  void Begin() { StartRead(&request_); }

  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (ended_) return;
      ended_ = true;
      // Before the client learns of the end: what was in force before is in force again by then.
      if (!scope_id_.empty()) policy_->CloseScope(scope_id_).IgnoreError();
    }
    expiry_.Cancel();
    Finish(ToGrpcStatus(status));
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) {
      return End(opened_ ? absl::OkStatus()
                         : absl::InvalidArgumentError(
                               "the stream ended before its first message, which opens the scope"));
    }
    if (opened_) {
      return End(absl::InvalidArgumentError(
          "a second message: the first opens the scope, the stream's end closes it"));
    }
    if (const absl::Status status = Open(); !status.ok()) return End(status);
    StartWrite(&response_);
    StartRead(&request_);
  }

  absl::Status Open() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (const std::string field = FindUnknownField(request_); !field.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown field ", field));
    }
    absl::MutexLock lock(&mutex_);
    if (ended_) return absl::CancelledError("the stream has ended");
    absl::StatusOr<Scope> scope =
        policy_->OpenScope(kind_, request_.backend(),
                           absl::Milliseconds(request_.time_to_live_ms()), request_.holder());
    if (!scope.ok()) return scope.status();
    opened_ = true;
    scope_id_ = scope->id;
    const absl::Duration time_to_live = scope->expires - scope->opened;
    response_.set_scope_id(scope_id_);
    response_.set_time_to_live_ms(absl::ToInt64Milliseconds(time_to_live));
    expiry_.Set(absl::ToChronoTime(absl::Now() + time_to_live), [self = shared_from_this(),
                                                                 time_to_live](bool expired) {
      if (!expired) return;
      self->End(absl::DeadlineExceededError(absl::StrCat(
          "the scope's time-to-live of ", absl::FormatDuration(time_to_live), " is over")));
    });
    return absl::OkStatus();
  }

  void OnCancel() override { End(absl::CancelledError("the holder has gone")); }

  void OnDone() override {
    const std::shared_ptr<ScopeStream> self = std::move(self_);
    streams_->Remove(this);
  }

  ScopeStreams* const streams_;
  PolicyState* const policy_;
  const ScopeKind kind_;
  std::shared_ptr<ScopeStream> self_;
  attention::v1::HoldScopeRequest request_;
  attention::v1::HoldScopeResponse response_;
  grpc::Alarm expiry_;
  bool opened_ = false;  // Read and written by OnReadDone alone.
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::string scope_id_ ABSL_GUARDED_BY(mutex_);
};

ScopeReactor* ScopeStreams::Start(ScopeKind kind) {
  auto stream = std::make_shared<ScopeStream>(this, policy_, kind);
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

void ScopeStreams::EndAll() {
  std::vector<std::shared_ptr<ScopeStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    streams.assign(open_.begin(), open_.end());
  }
  for (const auto& stream : streams) {
    stream->End(absl::UnavailableError("the server is draining"));
  }
}

void ScopeStreams::Remove(ScopeStream* stream) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(open_, [stream](const auto& open) { return open.get() == stream; });
}

}  // namespace attn
