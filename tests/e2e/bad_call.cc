#include "tests/e2e/bad_call.h"

#include <chrono>
#include <cmath>

#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "tests/e2e/plain_call.h"

namespace attn {

namespace v1 = attention::v1;

void PrintTo(const BadCall& bad, std::ostream* out) { *out << bad.name; }

std::string NameOf(const ::testing::TestParamInfo<BadCall>& info) { return info.param.name; }

v1::Tensor* AddTensor(v1::AttendRequest* request, const std::string& name,
                      const std::vector<int64_t>& shape) {
  v1::Tensor* tensor = request->add_tensors();
  tensor->set_name(name);
  tensor->set_dtype(v1::DATA_TYPE_FP32);
  int64_t count = 1;
  for (const int64_t size : shape) {
    tensor->add_shape(size);
    count *= size;
  }
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  tensor->set_data(values.data(), values.size() * sizeof(float));
  return tensor;
}

v1::AttendRequest GoodRequest() {
  v1::AttendRequest request;
  for (const char* name : {"q", "k", "v"}) AddTensor(&request, name, {1, 2, 3, 4});
  return request;
}

std::unique_ptr<ServerProcess> BadCallTest::server_;
std::unique_ptr<v1::AttentionService::Stub> BadCallTest::stub_;

void BadCallTest::SetUpTestSuite() {
  server_ =
      std::make_unique<ServerProcess>(std::vector<std::string>{"--max_message_bytes", "1048576"});
  stub_ = ConnectPlain(server_->tcp());
}

void BadCallTest::TearDownTestSuite() {
  stub_.reset();
  EXPECT_EQ(server_->Stop().exit_code, 0) << "the server did not survive bad input";
  server_.reset();
}

grpc::Status BadCallTest::Attend(const v1::AttendRequest& request, v1::AttendResponse* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  return stub_->Attend(&context, request, response);
}

void BadCallTest::ExpectRefused(const BadCall& bad) {
  v1::AttendRequest request = GoodRequest();
  bad.spoil(request);
  v1::AttendResponse response;
  const grpc::Status status = Attend(request, &response);
  EXPECT_EQ(status.error_code(), bad.code) << status.error_message();
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr(bad.text));
  ExpectServing();
}

void BadCallTest::ExpectServing() {
  v1::AttendResponse response;
  const grpc::Status status = Attend(GoodRequest(), &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace attn
