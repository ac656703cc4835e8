// A scope held open by a bidirectional stream.
#ifndef ATTN_CLIENT_SCOPE_STREAM_H_
#define ATTN_CLIENT_SCOPE_STREAM_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "client/attention_client.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/client_callback.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn {

// The stream lasts as long as the object: its destructor waits until gRPC is done with it.
class ScopeStream final : public HeldScope,
                          public grpc::ClientBidiReactor<attention::v1::HoldScopeRequest,
                                                         attention::v1::HoldScopeResponse> {
 public:
  // Starts HoldScope or HoldProcessScope with this reactor.
  using StartStream = std::function<void(grpc::ClientContext* context, ScopeStream* reactor)>;

  // Returns once the server has answered with the scope's id, or with why not. A non-positive
  // `timeout` waits without end.
  static absl::StatusOr<std::unique_ptr<HeldScope>> Open(
      std::shared_ptr<grpc::Channel> channel, std::string address, absl::Duration timeout,
      const attention::v1::HoldScopeRequest& request, const StartStream& start);
  ~ScopeStream() override;

  const std::string& id() const override { return id_; }
  bool ended() const override { return read_ended_.HasBeenNotified(); }
  absl::Status End() override;

  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  ScopeStream(std::shared_ptr<grpc::Channel> channel, std::string address, absl::Duration timeout,
              const attention::v1::HoldScopeRequest& request);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  const absl::Duration timeout_;  // Of opening and of ending.
  const attention::v1::HoldScopeRequest request_;
  grpc::ClientContext context_;
  attention::v1::HoldScopeResponse response_;
  std::string id_;  // Written before opened_ is notified.
  bool ending_ = false;
  grpc::Status status_;            // Written before done_ is notified.
  absl::Notification opened_;      // The first answer has come, or none will.
  absl::Notification read_ended_;  // The server's side has ended.
  absl::Notification done_;        // gRPC will not touch this object again.
};

}  // namespace attn

#endif  // ATTN_CLIENT_SCOPE_STREAM_H_
