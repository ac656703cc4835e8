// What a call is charged for before it is taken in.
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/services/server_fixture.h"

namespace attn {
namespace {

// A plug-in may announce anything: with its payload such a call needs more than a number holds.
TEST(AdmittedBytes, ABackendThatAsksForAllMemoryIsRefused) {
  ServerParts parts;
  parts.SetWorkspaceBytes(std::numeric_limits<int64_t>::max());
  ListenOptions options;
  options.addresses = {"127.0.0.1:0"};
  const auto server = parts.Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  (*server)->SetReady();
  const auto client = ConnectOnce((*server)->addresses()[0]);
  const std::vector<std::byte> data(4 * 8 * sizeof(float));
  AttendArguments call;
  for (const char* name : {"q", "k", "v"}) {
    call.tensors.push_back(
        {.name = name, .dtype = DType::kFloat32, .shape = {1, 1, 4, 8}, .data = data});
  }
  const absl::Status status = client->Attend(call, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("the call needs 9223372036854775807 bytes"));
}

}  // namespace
}  // namespace attn
