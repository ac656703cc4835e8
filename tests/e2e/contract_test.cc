// What a client in any language sees: plain protobuf, health, reflection, metrics.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/attention/v1/admin.grpc.pb.h"
#include "proto/attention/v1/attention.grpc.pb.h"
#include "tests/e2e/metrics_page.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::Contains;
using ::testing::HasSubstr;

class ContractTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new ServerProcess(); }
  static void TearDownTestSuite() { delete server_; }

  std::unique_ptr<v1::AttentionService::Stub> stub_ = v1::AttentionService::NewStub(
      grpc::CreateChannel(server_->tcp(), grpc::InsecureChannelCredentials()));
  static ServerProcess* server_;
};

ServerProcess* ContractTest::server_ = nullptr;

// v is constant, so every output element is that constant, whatever q and k are.
v1::AttendRequest ConstantValues(const std::string& pattern, const std::vector<int64_t>& shape,
                                 int64_t heads) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  const std::vector<float> values(static_cast<size_t>(count), 3.0F);
  v1::AttendRequest request;
  for (const char* name : {"q", "k", "v"}) {
    v1::Tensor* tensor = request.add_tensors();
    tensor->set_name(name);
    tensor->set_dtype(v1::DATA_TYPE_FP32);
    tensor->mutable_shape()->Assign(shape.begin(), shape.end());
    tensor->set_pattern(pattern);
    tensor->set_heads(heads);
    tensor->set_data(values.data(), values.size() * sizeof(float));
  }
  return request;
}

TEST_F(ContractTest, GeneratedProtobufCallsAndReads) {
  v1::AttendRequest request = ConstantValues("b s (h d)", {2, 70, 24}, 3);
  request.mutable_outputs()->set_lse(true);
  request.mutable_outputs()->set_plan(true);
  request.mutable_mask()->set_causal(true);
  grpc::ClientContext context;
  v1::AttendResponse response;
  const grpc::Status status = stub_->Attend(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const v1::Tensor& out = response.outputs(0);
  EXPECT_EQ(out.name(), "out");
  EXPECT_EQ(out.pattern(), "b s (h d)");
  EXPECT_EQ(out.heads(), 3);
  ASSERT_EQ(out.data().size(), 2U * 70 * 24 * 4);
  const auto* values = reinterpret_cast<const float*>(out.data().data());
  for (size_t i = 0; i < 2U * 70 * 24; ++i) ASSERT_NEAR(values[i], 3.0F, 1e-5F) << i;
  EXPECT_EQ(response.outputs(1).name(), "lse");
  EXPECT_EQ(response.outputs(2).name(), "plan_levels");
  // Blocks of 64 over 70 tokens, causal: the upper right of the 2 x 2 blocks is skipped.
  EXPECT_EQ(response.outputs(2).data(), std::string({1, 0, 1, 1}));
  EXPECT_EQ(response.selection().backend(), "flash");
  EXPECT_EQ(response.selection().rule(), v1::RULE_AUTOMATIC);
  EXPECT_EQ(response.metrics().sparsity(), 0.0);
  EXPECT_EQ(response.metrics().effective_flops(), 4.0 * 8 * 2 * 3 * (70 * 71 / 2));
  EXPECT_GT(response.metrics().kernel_ns(), 0);
  EXPECT_GE(response.metrics().total_ns(), response.metrics().kernel_ns());
  EXPECT_EQ(response.metrics().request_bytes(), static_cast<int64_t>(request.ByteSizeLong()));
}

TEST_F(ContractTest, EveryBackendNamesWhatItTakesOrWhyNot) {
  grpc::ClientContext context;
  v1::ListBackendsResponse response;
  ASSERT_TRUE(stub_->ListBackends(&context, {}, &response).ok());
  ASSERT_EQ(response.backends_size(), 14);
  for (const v1::Backend& backend : response.backends()) {
    if (backend.available()) {
      EXPECT_GT(backend.dtypes_size(), 0) << backend.name();
      EXPECT_GT(backend.max_head_dim(), 0) << backend.name();
    } else {
      EXPECT_FALSE(backend.unavailable_reason().empty()) << backend.name();
    }
  }
  EXPECT_EQ(response.backends(0).name(), "flash");
  EXPECT_THAT(response.backends(0).aliases(), Contains("flash_attention_2"));
}

TEST_F(ContractTest, ExplainNeedsNoPayload) {
  v1::ExplainRequest request;
  *request.mutable_call() = ConstantValues("", {1, 2, 3, 4}, 0);
  for (v1::Tensor& tensor : *request.mutable_call()->mutable_tensors()) tensor.clear_data();
  request.mutable_call()->set_backend("psa");
  request.mutable_call()->set_allow_fallback(true);
  grpc::ClientContext context;
  v1::ExplainResponse response;
  ASSERT_TRUE(stub_->Explain(&context, request, &response).ok());
  EXPECT_EQ(response.selection().backend(), "flash");
  ASSERT_GE(response.selection().refused_size(), 1);
  EXPECT_EQ(response.selection().refused(0).backend(), "psa");
  EXPECT_EQ(response.selection().refused(0).rule(), v1::RULE_CALL);

  request.mutable_call()->set_allow_fallback(false);
  grpc::ClientContext second;
  ASSERT_TRUE(stub_->Explain(&second, request, &response).ok());
  EXPECT_EQ(response.error_code(), static_cast<int>(grpc::StatusCode::UNIMPLEMENTED));
  EXPECT_THAT(response.error_message(), HasSubstr("psa"));
  EXPECT_EQ(response.selection().backend(), "");
  EXPECT_EQ(response.selection().refused_size(), 14) << "every backend has its reason";
}

// Explain and Attend must not disagree about what runs.
TEST_F(ContractTest, ExplainRefusesWhatAttendRefuses) {
  const std::function<void(v1::AttendRequest&)> spoilers[] = {
      [](auto& call) {
        call.mutable_outputs()->set_plan(true);
        call.mutable_outputs()->set_plan_block_q(16);
        call.set_backend("flash");
        (*call.mutable_options())["block_q"].set_int64_value(32);
      },
      [](auto& call) {
        call.set_backend("flash");
        call.set_scale(1e39);
      },
      [](auto& call) { call.set_backend("nothing"); },
      [](auto& call) { call.mutable_mask()->add_k_lengths(7); },
  };
  for (const auto& spoil : spoilers) {
    v1::ExplainRequest request;
    *request.mutable_call() = ConstantValues("", {1, 2, 3, 4}, 0);
    spoil(*request.mutable_call());
    grpc::ClientContext first;
    v1::AttendResponse reply;
    const grpc::Status attended = stub_->Attend(&first, request.call(), &reply);
    grpc::ClientContext second;
    v1::ExplainResponse explained;
    ASSERT_TRUE(stub_->Explain(&second, request, &explained).ok());
    EXPECT_FALSE(attended.ok());
    EXPECT_EQ(explained.error_code(), static_cast<int>(attended.error_code()));
    EXPECT_EQ(explained.error_message(), attended.error_message());
  }
}

// Protobuf would build an object for each of them before anyone could say no.
TEST_F(ContractTest, ExplainBoundsTheTensorsOfItsCall) {
  v1::ExplainRequest request;
  for (int i = 0; i < 200'000; ++i) request.mutable_call()->add_tensors();
  grpc::ClientContext context;
  v1::ExplainResponse response;
  ASSERT_TRUE(stub_->Explain(&context, request, &response).ok());
  EXPECT_EQ(response.error_code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(response.error_message(), HasSubstr("tensors"));
}

// A megabyte on the wire may inflate to a gigabyte before it is measured.
TEST_F(ContractTest, CompressedRequestsAreRefused) {
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  v1::AttendResponse response;
  EXPECT_EQ(stub_->Attend(&context, ConstantValues("", {1, 2, 64, 64}, 0), &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ContractTest, HealthAnswersByServiceName) {
  const auto client = server_->Connect();
  EXPECT_EQ(*client->CheckHealth(""), "SERVING");
  EXPECT_EQ(*client->CheckHealth("attention.v1.AttentionService"), "SERVING");
  EXPECT_EQ(*client->CheckHealth("attention.v1.AdminService"), "SERVING");
  EXPECT_EQ(client->CheckHealth("no.such.Service").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ContractTest, AdminShowsWhatSteers) {
  const auto client = server_->Connect();
  ASSERT_TRUE(client->SetForcedOverride("auto").ok());
  const auto policy = client->GetPolicy();
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->forced_backend(), "auto");
  EXPECT_EQ(policy->automatic_order(0), "flash");
  EXPECT_TRUE(client->ClearForcedOverride().ok());
}

TEST_F(ContractTest, MetricsCountSuccessAndFailureAlike) {
  grpc::ClientContext good;
  v1::AttendResponse response;
  ASSERT_TRUE(stub_->Attend(&good, ConstantValues("", {1, 1, 2, 8}, 0), &response).ok());
  grpc::ClientContext bad;
  ASSERT_FALSE(stub_->Attend(&bad, v1::AttendRequest(), &response).ok());
  const MetricsPage page = MetricsPage::Read(server_->metrics());
  EXPECT_GE(page.Sum("attn_calls_total", "backend=\"flash\""), 1);
  EXPECT_GE(page.Sum("attn_calls_total", "code=\"INVALID_ARGUMENT\""), 1);
  EXPECT_GE(page.Sum("attn_call_sparsity_count"), 1);
  EXPECT_EQ(page.Sum("attn_build_info"), 1);
}

}  // namespace
}  // namespace attn
