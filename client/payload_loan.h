// Memory lent to gRPC for sending, and the wait for its return.
//
// A call can end (a timeout, an early refusal) while its connection is still writing the payload.
// The caller may free that memory only once gRPC has let go of it.
#ifndef ATTN_CLIENT_PAYLOAD_LOAN_H_
#define ATTN_CLIENT_PAYLOAD_LOAN_H_

#include <memory>
#include <utility>

#include "absl/synchronization/notification.h"

namespace attn {

// One loan. Thread-safe.
class PayloadLoan {
 public:
  PayloadLoan()
      : returned_(std::make_shared<absl::Notification>()),
        owner_(returned_.get(), [returned = returned_](const void*) { returned->Notify(); }) {}

  // To be handed over once; the loan is returned when its last copy is destroyed.
  std::shared_ptr<const void> TakeOwner() { return std::move(owner_); }

  void WaitReturned() const { returned_->WaitForNotification(); }

 private:
  std::shared_ptr<absl::Notification> returned_;
  std::shared_ptr<const void> owner_;
};

}  // namespace attn

#endif  // ATTN_CLIENT_PAYLOAD_LOAN_H_
