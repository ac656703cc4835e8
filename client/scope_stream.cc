#include "client/scope_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/unary_call.h"
#include "server/transport/status_mapping.h"

namespace attn {

ScopeStream::ScopeStream(std::shared_ptr<grpc::Channel> channel, std::string address,
                         absl::Duration timeout, const attention::v1::HoldScopeRequest& request)
    : channel_(std::move(channel)),
      address_(std::move(address)),
      timeout_(timeout > absl::ZeroDuration() ? timeout : absl::InfiniteDuration()),
      request_(request) {}

absl::StatusOr<std::unique_ptr<HeldScope>> ScopeStream::Open(
    std::shared_ptr<grpc::Channel> channel, std::string address, absl::Duration timeout,
    const attention::v1::HoldScopeRequest& request, const StartStream& start) {
  auto stream = std::unique_ptr<ScopeStream>(
      new ScopeStream(std::move(channel), std::move(address), timeout, request));
  start(&stream->context_, stream.get());
  stream->AddHold();  // End may start operations later, from outside a reaction.
  stream->StartRead(&stream->response_);
  stream->StartWrite(&stream->request_);
  stream->StartCall();
  const bool answered = stream->opened_.WaitForNotificationWithTimeout(stream->timeout_);
  if (answered && !stream->id_.empty()) return stream;
  if (!answered) stream->context_.TryCancel();
  const absl::Status status = stream->End();
  if (!answered) {
    return absl::DeadlineExceededError(absl::StrCat("no answer from ", stream->address_,
                                                    " within the timeout of ",
                                                    absl::FormatDuration(stream->timeout_)));
  }
  if (!status.ok()) return status;
  return absl::InternalError(
      absl::StrCat("the server at ", stream->address_, " opened a scope without an id"));
}

ScopeStream::~ScopeStream() {
  if (!ending_) End().IgnoreError();
}

void ScopeStream::OnReadDone(bool ok) {
  if (!ok) {
    read_ended_.Notify();
    if (!opened_.HasBeenNotified()) opened_.Notify();
    return;
  }
  if (!opened_.HasBeenNotified()) {
    id_ = response_.scope_id();
    opened_.Notify();
  }
  StartRead(&response_);
}

void ScopeStream::OnDone(const grpc::Status& status) {
  status_ = status;
  done_.Notify();
}

absl::Status ScopeStream::End() {
  if (!ending_) {
    ending_ = true;
    StartWritesDone();
    RemoveHold();
  }
  if (!done_.WaitForNotificationWithTimeout(timeout_)) {
    context_.TryCancel();
    done_.WaitForNotification();
    return absl::DeadlineExceededError(
        absl::StrCat(address_, " did not confirm the end of the scope within ",
                     absl::FormatDuration(timeout_), "; the stream was cancelled, which ends it"));
  }
  return WithConnection(FromGrpcStatus(status_), *channel_, address_);
}

}  // namespace attn
