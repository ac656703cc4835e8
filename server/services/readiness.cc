#include "server/services/readiness.h"

#include <algorithm>
#include <memory>

namespace attn {
namespace {

void TellReady(grpc::HealthCheckServiceInterface& health, bool ready) {
  for (const char* name : {"", kReadinessName, "attention.v1.AttentionService"}) {
    health.SetServingStatus(name, ready);
  }
}

}  // namespace

Readiness::Readiness(const Registry* registry, const PolicyState* policy)
    : registry_(registry), policy_(policy), looks_(kInterval, [this] { Look(); }) {}

void Readiness::Tell(grpc::HealthCheckServiceInterface* health) {
  absl::MutexLock lock(&mutex_);
  for (const char* name : {kLivenessName, "attention.v1.AdminService"}) {
    health->SetServingStatus(name, true);
  }
  TellReady(*health, ready_);
  told_.push_back(health);
}

void Readiness::SetReady() {
  const bool can_serve = CanServe();
  absl::MutexLock lock(&mutex_);
  started_ = true;
  Update(can_serve);
}

void Readiness::AnnounceDrain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  Update(/*can_serve=*/false);  // Whether or not it could.
}

bool Readiness::CanServe() const {
  const std::shared_ptr<const PolicySnapshot> policy = policy_->Snapshot();
  const std::vector<const Backend*>& backends = registry_->backends();
  return std::any_of(backends.begin(), backends.end(), [&policy](const Backend* backend) {
    return !policy->quarantined.contains(backend->info().name) && backend->Available().ok();
  });
}

void Readiness::Look() {
  const bool can_serve = CanServe();
  absl::MutexLock lock(&mutex_);
  Update(can_serve);
}

void Readiness::Update(bool can_serve) {
  const bool ready = started_ && !draining_ && can_serve;
  if (ready == ready_) return;
  ready_ = ready;
  for (grpc::HealthCheckServiceInterface* health : told_) TellReady(*health, ready);
}

}  // namespace attn
