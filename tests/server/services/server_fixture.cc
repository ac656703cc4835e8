#include "tests/server/services/server_fixture.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/time/clock.h"
#include "grpc/grpc.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

// Never undone: the last shutdown of gRPC would wait for its poller.
[[maybe_unused]] const bool kGrpcKept = (grpc_init(), true);

// Computes nothing: these tests are about the way to a backend.
class SwitchedBackend final : public Backend {
 public:
  SwitchedBackend(const std::string& name, std::shared_ptr<Availability> availability)
      : availability_(std::move(availability)) {
    info_.name = name;
    info_.device = "cpu";
    info_.capabilities.max_head_dim = 64;
    info_.capabilities.dtypes = {DType::kFloat32};
  }

  const BackendInfo& info() const override { return info_; }
  absl::Status Available() const override {
    return availability_->Get() ? absl::OkStatus() : absl::UnavailableError("switched off");
  }
  int64_t WorkspaceBytes(const AttentionProblem& /*problem*/, const OptionMap&) const override {
    return availability_->workspace_bytes();
  }
  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& /*call*/) const override {
    return absl::InternalError("computes nothing");
  }

 private:
  const std::shared_ptr<Availability> availability_;
  BackendInfo info_;
};

Registry MakeRegistry(const std::shared_ptr<Availability>& availability) {
  std::vector<std::unique_ptr<Backend>> backends;
  for (const char* name : {"flash", "eager"}) {
    backends.push_back(std::make_unique<SwitchedBackend>(name, availability));
  }
  return Registry::Create(std::move(backends)).value();
}

class NoObserver final : public CallObserver {
 public:
  void OnCallStarted() override {}
  void OnCallEnded(const CallRecord& /*record*/) override {}
  void OnQueueChanged(const QueueLoad& /*load*/) override {}
};

std::string MakeFolder() {
  std::string folder = (std::filesystem::temp_directory_path() / "attnd-test-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) std::abort();
  return folder;
}

}  // namespace

bool Availability::Get() {
  const absl::MutexLock lock(&mutex_);
  asked_ = held_;
  const auto released = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !held_; };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&released), absl::Seconds(10))) held_ = false;
  return available_;
}

void Availability::Set(bool available) {
  const absl::MutexLock lock(&mutex_);
  available_ = available;
}

void Availability::Hold() {
  const absl::MutexLock lock(&mutex_);
  held_ = true;
  asked_ = false;
  mutex_.Await(absl::Condition(&asked_));
}

bool Availability::Release() {
  const absl::MutexLock lock(&mutex_);
  return std::exchange(held_, false);
}

ServerParts::ServerParts() : ServerParts(std::make_shared<Availability>()) {}

ServerParts::ServerParts(const std::shared_ptr<Availability>& availability)
    : ServerParts(availability, MakeRegistry(availability), std::make_unique<NoObserver>()) {}

ServerParts::ServerParts(Registry registry, std::unique_ptr<CallObserver> observer)
    : ServerParts(std::make_shared<Availability>(), std::move(registry), std::move(observer)) {}

ServerParts::ServerParts(std::shared_ptr<Availability> availability, Registry registry,
                         std::unique_ptr<CallObserver> observer)
    : folder_(MakeFolder()),
      availability_(std::move(availability)),
      registry_(std::move(registry)),
      policy_(PolicyState::Create("", nullptr).value()),
      executor_(Executor::Create({}, nullptr).value()),
      faults_(policy_.get()),
      observer_(std::move(observer)) {}

ServerParts::~ServerParts() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

absl::StatusOr<std::unique_ptr<Server>> ServerParts::Start(const ListenOptions& options) {
  ServiceContext services;
  services.registry = &registry_;
  services.policy = policy_.get();
  services.executor = executor_.get();
  services.buffers = &buffers_;
  services.faults = &faults_;
  services.replies = &replies_;
  services.observer = observer_.get();
  services.set_log_level =
      [level = log_level_](const std::string& name) -> absl::StatusOr<std::string> {
    if (name != "debug" && name != "info") return absl::InvalidArgumentError("no such level");
    return std::exchange(*level, name);
  };
  return Server::Start(options, services);
}

std::unique_ptr<AttentionClient> ConnectOnce(const std::string& address, ClientTls tls,
                                             const std::string& admin_token) {
  ClientOptions options;
  options.server = address;
  options.admin_server = address;
  options.max_retries = 0;
  options.control_timeout = absl::Seconds(20);
  options.tls = std::move(tls);
  options.admin_token = admin_token;
  absl::StatusOr<std::unique_ptr<AttentionClient>> client = AttentionClient::Create(options);
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

std::string OverLoopback(const std::string& bound) {
  return "127.0.0.1" + bound.substr(bound.rfind(':'));
}

bool BecomesHealth(AttentionClient& client, const std::string& service, const std::string& health) {
  const absl::Time limit = absl::Now() + absl::Seconds(10);
  while (absl::Now() < limit) {
    const absl::StatusOr<std::string> answer = client.CheckHealth(service);
    if (answer.ok() && *answer == health) return true;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return false;
}

}  // namespace attn
