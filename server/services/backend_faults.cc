#include "server/services/backend_faults.h"

#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"

namespace attn {

void BackendFaults::Record(const std::string& backend, const absl::Status& status) {
  const bool fault = status.code() == absl::StatusCode::kInternal;
  if (!fault && !status.ok()) return;
  {
    absl::MutexLock lock(&mutex_);
    int& faults = faults_[backend];
    faults = fault ? faults + 1 : 0;
    if (faults != kFaultsBeforeQuarantine) return;
    faults = 0;  // Counted anew after a release.
  }
  const std::string reason =
      absl::StrCat(kFaultsBeforeQuarantine,
                   " errors in a row, the last: ", Quoted(absl::string_view(status.message())));
  // Refused only where an operator's quarantine stands, which then stays.
  const bool quarantined = policy_->QuarantineBackend(backend, reason, /*automatic=*/true).ok();
  if (quarantined && on_quarantine_) on_quarantine_(backend, reason);
}

}  // namespace attn
