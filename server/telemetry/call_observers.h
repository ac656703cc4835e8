// Several observers in the place of one.
#ifndef ATTN_SERVER_TELEMETRY_CALL_OBSERVERS_H_
#define ATTN_SERVER_TELEMETRY_CALL_OBSERVERS_H_

#include <utility>
#include <vector>

#include "server/executor/call_observer.h"

namespace attn {

// Tells each what it is told, in their order. Borrows them.
class CallObservers : public CallObserver {
 public:
  explicit CallObservers(std::vector<CallObserver*> observers) : observers_(std::move(observers)) {}

  void OnCallStarted() override {
    for (CallObserver* observer : observers_) observer->OnCallStarted();
  }
  void OnCallEnded(const CallRecord& record) override {
    for (CallObserver* observer : observers_) observer->OnCallEnded(record);
  }
  void OnQueueChanged(const QueueLoad& load) override {
    for (CallObserver* observer : observers_) observer->OnQueueChanged(load);
  }

 private:
  const std::vector<CallObserver*> observers_;
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_CALL_OBSERVERS_H_
