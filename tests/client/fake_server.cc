#include "tests/client/fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "absl/strings/str_cat.h"
#include "client/cli/child_process.h"
#include "grpc/grpc.h"
#include "grpcpp/ext/health_check_service_server_builder_option.h"
#include "grpcpp/health_check_service_interface.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using attention::v1::HoldScopeRequest;
using attention::v1::HoldScopeResponse;

// gRPC stays up from test to test: when its last user goes, it waits for its backup poller, which
// after a large payload can sleep for ten seconds.
const bool kGrpcKept = (cli::BlockForwardedSignals(), grpc_init(), true);

grpc::Status Hold(const ScopeBehaviour& behaviour, EventLog& log,
                  grpc::ServerReaderWriter<HoldScopeResponse, HoldScopeRequest>* stream,
                  grpc::ServerContext* context) {
  HoldScopeRequest request;
  if (!stream->Read(&request)) return grpc::Status::CANCELLED;
  if (!behaviour.refusal.ok()) return behaviour.refusal;
  log.Add(absl::StrCat("open ", request.backend(), " for ", request.holder(), " ",
                       request.time_to_live_ms(), " ms"));
  HoldScopeResponse response;
  response.set_scope_id(behaviour.id);
  stream->Write(response);
  if (behaviour.expire) return {grpc::StatusCode::DEADLINE_EXCEEDED, "its time-to-live is over"};
  stream->Read(&request);
  log.Add(context->IsCancelled() ? "cancelled" : "half-close");
  return behaviour.at_end;
}

std::string AuthorizationOf(const grpc::ServerContext& context) {
  const auto header = context.client_metadata().find("authorization");
  if (header == context.client_metadata().end()) return "";
  return {header->second.data(), header->second.size()};
}

}  // namespace

void EventLog::Add(const std::string& event) {
  absl::MutexLock lock(&mutex_);
  events_.push_back(event);
}

std::vector<std::string> EventLog::events() const {
  absl::MutexLock lock(&mutex_);
  return events_;
}

bool EventLog::WaitFor(const std::string& event) const {
  absl::MutexLock lock(&mutex_);
  const auto has_come = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return std::find(events_.begin(), events_.end(), event) != events_.end();
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&has_come), absl::Seconds(10));
}

grpc::Status EchoQuery(grpc::ServerContext*, const attention::v1::AttendRequest& request,
                       attention::v1::AttendResponse* response) {
  attention::v1::Selection& selection = *response->mutable_selection();
  selection.set_backend(request.backend().empty() ? "flash" : request.backend());
  selection.set_rule(request.backend().empty() ? attention::v1::RULE_AUTOMATIC
                                               : attention::v1::RULE_CALL);
  if (!request.scope_id().empty()) {
    selection.set_backend("eager");
    selection.set_rule(attention::v1::RULE_SCOPE);
    selection.set_scope_id(request.scope_id());
  }
  selection.set_requested(request.backend());
  selection.set_device("cpu");
  attention::v1::CallMetrics& metrics = *response->mutable_metrics();
  metrics.set_queue_ns(1'000'000);
  metrics.set_decode_ns(2'000'000);
  metrics.set_plan_ns(3'000'000);
  metrics.set_kernel_ns(4'000'000);
  metrics.set_encode_ns(5'000'000);
  metrics.set_total_ns(15'000'000);
  metrics.set_sparsity(0.25);
  metrics.set_effective_flops(8e6);
  for (const attention::v1::Tensor& tensor : request.tensors()) {
    if (tensor.name() != "q") continue;
    *response->add_outputs() = tensor;
    response->mutable_outputs()->rbegin()->set_name("out");
  }
  return grpc::Status::OK;
}

FakeAttention::FakeAttention() : attend(EchoQuery) {
  for (const auto& [name, exact] : {std::pair("eager", true), std::pair("flash", true)}) {
    attention::v1::Backend& backend = *backends.add_backends();
    backend.set_name(name);
    backend.set_available(true);
    backend.set_exact(exact);
  }
}

grpc::Status FakeAttention::Attend(grpc::ServerContext* context,
                                   const attention::v1::AttendRequest* request,
                                   attention::v1::AttendResponse* response) {
  return attend(context, *request, response);
}

grpc::Status FakeAttention::Explain(grpc::ServerContext*,
                                    const attention::v1::ExplainRequest* request,
                                    attention::v1::ExplainResponse* response) {
  explained = *request;
  *response = explanation;
  return grpc::Status::OK;
}

grpc::Status FakeAttention::ListBackends(grpc::ServerContext* context,
                                         const attention::v1::ListBackendsRequest*,
                                         attention::v1::ListBackendsResponse* response) {
  authorization = AuthorizationOf(*context);
  *response = backends;
  return grpc::Status::OK;
}

grpc::Status FakeAttention::HoldScope(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<HoldScopeResponse, HoldScopeRequest>* stream) {
  return Hold(scope, log, stream, context);
}

grpc::Status FakeAdmin::GetPolicy(grpc::ServerContext* context,
                                  const attention::v1::GetPolicyRequest*,
                                  attention::v1::GetPolicyResponse* response) {
  ++calls;
  authorization = AuthorizationOf(*context);
  *response = policy;
  return status;
}

grpc::Status FakeAdmin::SetForcedOverride(grpc::ServerContext*,
                                          const attention::v1::SetForcedOverrideRequest* request,
                                          attention::v1::SetForcedOverrideResponse* response) {
  ++calls;
  response->set_previous_backend(forced);
  forced = request->backend();
  return status;
}

grpc::Status FakeAdmin::ClearForcedOverride(grpc::ServerContext*,
                                            const attention::v1::ClearForcedOverrideRequest*,
                                            attention::v1::ClearForcedOverrideResponse* response) {
  ++calls;
  response->set_previous_backend(forced);
  forced.clear();
  return status;
}

grpc::Status FakeAdmin::HoldProcessScope(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<HoldScopeResponse, HoldScopeRequest>* stream) {
  authorization = AuthorizationOf(*context);
  return Hold(scope, log, stream, context);
}

grpc::Status FakeAdmin::QuarantineBackend(grpc::ServerContext*,
                                          const attention::v1::QuarantineBackendRequest* request,
                                          attention::v1::QuarantineBackendResponse* response) {
  ++calls;
  log.Add(absl::StrCat("quarantine ", request->backend(), ": ", request->reason()));
  response->set_backend(absl::StrCat("canonical ", request->backend()));
  return status;
}

grpc::Status FakeAdmin::ReleaseBackend(grpc::ServerContext*,
                                       const attention::v1::ReleaseBackendRequest* request,
                                       attention::v1::ReleaseBackendResponse* response) {
  ++calls;
  log.Add(absl::StrCat("release ", request->backend()));
  response->set_backend(absl::StrCat("canonical ", request->backend()));
  return status;
}

grpc::Status FakeAdmin::SetLogLevel(grpc::ServerContext* context,
                                    const attention::v1::SetLogLevelRequest* request,
                                    attention::v1::SetLogLevelResponse* response) {
  ++calls;
  authorization = AuthorizationOf(*context);
  response->set_previous_level(log_level);
  log_level = request->level();
  return status;
}

FakeServer::FakeServer(const std::vector<grpc::Service*>& services) {
  static std::atomic<int> count = 0;
  const std::string path =
      absl::StrCat(testing::TempDir(), "/attn_client_", getpid(), "_", count.fetch_add(1));
  EXPECT_TRUE(kGrpcKept);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  unix_ = absl::StrCat("unix:", path);
  builder.AddListeningPort(unix_, grpc::InsecureServerCredentials());
  builder.SetMaxReceiveMessageSize(-1);
  for (grpc::Service* service : services) builder.RegisterService(service);
  server_ = builder.BuildAndStart();
  tcp_ = absl::StrCat("127.0.0.1:", port);
}

FakeServer::~FakeServer() { server_->Shutdown(std::chrono::system_clock::now()); }

void FakeServer::SetHealth(const std::string& service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

std::unique_ptr<AttentionClient> FakeServer::Connect(ClientOptions options) const {
  options.server = tcp_;
  return *AttentionClient::Create(options);
}

std::string ClosedAddress() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  close(listener);
  return absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
}

}  // namespace attn
