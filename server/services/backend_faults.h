// Takes a backend out of selection when its device keeps failing.
#ifndef ATTN_SERVER_SERVICES_BACKEND_FAULTS_H_
#define ATTN_SERVER_SERVICES_BACKEND_FAULTS_H_

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/policy/policy_state.h"

namespace attn {

// One INTERNAL may be a call that met a bug; so many in a row, with no success between, are a
// device that will not recover.
inline constexpr int kFaultsBeforeQuarantine = 3;

// Thread-safe. An operator releases what was quarantined (AdminService.ReleaseBackend).
class BackendFaults {
 public:
  // Called with the backend and the reason once it is quarantined, on the thread of the last call
  // that failed.
  using OnQuarantine = std::function<void(const std::string&, const std::string&)>;

  explicit BackendFaults(PolicyState* policy, OnQuarantine on_quarantine = nullptr)
      : policy_(policy), on_quarantine_(std::move(on_quarantine)) {}

  // How a call ended that ran on `backend`. Only INTERNAL is a fault of the backend, and only a
  // success takes earlier ones back: a cancelled call says nothing about the device.
  void Record(const std::string& backend, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  PolicyState* const policy_;
  const OnQuarantine on_quarantine_;
  absl::Mutex mutex_;
  std::map<std::string, int> faults_ ABSL_GUARDED_BY(mutex_);  // In a row, by backend.
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_BACKEND_FAULTS_H_
