// Calls that a real server must refuse with a reason, and serve on.
#ifndef ATTN_TESTS_E2E_BAD_CALL_H_
#define ATTN_TESTS_E2E_BAD_CALL_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "grpcpp/support/status.h"
#include "gtest/gtest.h"
#include "proto/attention/v1/attention.grpc.pb.h"
#include "tests/e2e/server_process.h"

namespace attn {

struct BadCall {
  std::string name;
  std::function<void(attention::v1::AttendRequest&)> spoil;  // What makes GoodRequest() bad.
  grpc::StatusCode code;
  std::string text;
};

void PrintTo(const BadCall& bad, std::ostream* out);
std::string NameOf(const ::testing::TestParamInfo<BadCall>& info);

// fp32, of sines.
attention::v1::Tensor* AddTensor(attention::v1::AttendRequest* request, const std::string& name,
                                 const std::vector<int64_t>& shape);

// q, k, v: [1, 2, 3, 4].
attention::v1::AttendRequest GoodRequest();

// One server for all calls of a suite; it must survive them.
class BadCallTest : public ::testing::TestWithParam<BadCall> {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  static grpc::Status Attend(const attention::v1::AttendRequest& request,
                             attention::v1::AttendResponse* response);
  static void ExpectRefused(const BadCall& bad);
  static void ExpectServing();

  static std::unique_ptr<ServerProcess> server_;
  static std::unique_ptr<attention::v1::AttentionService::Stub> stub_;
};

}  // namespace attn

#endif  // ATTN_TESTS_E2E_BAD_CALL_H_
