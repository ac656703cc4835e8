// Whether new calls should come here, as grpc.health.v1 tells it.
#ifndef ATTN_SERVER_SERVICES_READINESS_H_
#define ATTN_SERVER_SERVICES_READINESS_H_

#include <atomic>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/health_check_service_interface.h"
#include "kernels/core/registry.h"
#include "server/policy/policy_state.h"
#include "server/services/periodic.h"

namespace attn {

// Names of the health service. The server as a whole (the empty name) is its readiness, and so is
// attention.v1.AttentionService; liveness and attention.v1.AdminService serve as long as the
// process answers.
inline constexpr char kLivenessName[] = "liveness";
inline constexpr char kReadinessName[] = "readiness";

// Ready from SetReady on, while a backend is available and not quarantined, until AnnounceDrain.
// What backends can do is looked at five times a second: a device that goes away tells nobody, and
// the quarantine of a backend is then seen by the same look. Thread-safe. A look waits for drivers,
// which may hang; nothing else waits for a look.
class Readiness {
 public:
  static constexpr absl::Duration kInterval = absl::Milliseconds(200);

  // Borrows both.
  Readiness(const Registry* registry, const PolicyState* policy);

  // `health` is told of the state, and of every change; it outlives this.
  void Tell(grpc::HealthCheckServiceInterface* health) ABSL_LOCKS_EXCLUDED(mutex_);

  void SetReady() ABSL_LOCKS_EXCLUDED(mutex_);
  void AnnounceDrain() ABSL_LOCKS_EXCLUDED(mutex_);

  bool ready() const { return ready_; }
  bool draining() const { return draining_; }

 private:
  bool CanServe() const ABSL_LOCKS_EXCLUDED(mutex_);
  void Look() ABSL_LOCKS_EXCLUDED(mutex_);
  void Update(bool can_serve) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Registry* const registry_;
  const PolicyState* const policy_;
  absl::Mutex mutex_;  // Of changes, so that health is told of them in their order.
  std::vector<grpc::HealthCheckServiceInterface*> told_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  // Written under mutex_.
  std::atomic<bool> draining_ = false;
  std::atomic<bool> ready_ = false;
  Periodic looks_;  // The last member: it uses the others.
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_READINESS_H_
