// What a peer can do to a server before any call of it is admitted.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/attention/v1/admin.grpc.pb.h"
#include "proto/attention/v1/attention.grpc.pb.h"
#include "server/services/small_message.h"
#include "tests/server/services/raw_http2.h"
#include "tests/server/services/server_fixture.h"
#include "tests/support/resident_bytes.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::HasSubstr;

class ChannelLimitsTest : public ::testing::Test {
 protected:
  std::string StartServer(ListenOptions options) {
    options.addresses = {"127.0.0.1:0"};
    auto server = parts_.Start(options);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(server_->addresses()[0], grpc::InsecureChannelCredentials());
    return server_->addresses()[0];
  }

  grpc::Status ListBackends(grpc::ClientContext* context) {
    v1::ListBackendsResponse response;
    return v1::AttentionService::NewStub(channel_)->ListBackends(context, {}, &response);
  }

  ServerParts parts_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// gRPC 1.51 sometimes closes the connection of such a call after its status (about 1 in 25 on a
// busy machine), so the neighbour has a connection of its own.
TEST_F(ChannelLimitsTest, MetadataIsSmall) {
  const std::string address = StartServer({});
  const auto neighbour = ConnectOnce(address);
  ASSERT_EQ(neighbour->ListBackends().status(), absl::OkStatus());
  grpc::ClientContext fits;
  fits.AddMetadata("x-note", std::string(4000, 'x'));
  EXPECT_TRUE(ListBackends(&fits).ok());
  grpc::ClientContext too_much;
  too_much.AddMetadata("x-note", std::string(9000, 'x'));
  EXPECT_EQ(ListBackends(&too_much).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(neighbour->ListBackends().status(), absl::OkStatus());
}

// ENHANCE_YOUR_CALM, and nobody else notices.
TEST_F(ChannelLimitsTest, PingFloodEndsItsConnection) {
  const std::string address = StartServer({});
  RawHttp2 hostile(address);
  for (int i = 0; i < 1000 && hostile.Send(RawHttp2::kPing, 0, 0, "12345678"); ++i) {
  }
  const RawHttp2::Received received = hostile.ReadUntilClosed(absl::Seconds(10));
  EXPECT_TRUE(received.closed);
  const auto goodbye =
      std::find_if(received.frames.begin(), received.frames.end(),
                   [](const auto& frame) { return frame.type == RawHttp2::kGoAway; });
  ASSERT_NE(goodbye, received.frames.end());
  constexpr char kEnhanceYourCalm = 11;
  EXPECT_EQ(goodbye->payload[7], kEnhanceYourCalm);
  grpc::ClientContext context;
  EXPECT_TRUE(ListBackends(&context).ok());
}

TEST_F(ChannelLimitsTest, SilentConnectionIsClosed) {
  RawHttp2 silent(StartServer({}), /*greet=*/false);
  EXPECT_TRUE(silent.ReadUntilClosed(absl::Seconds(20)).closed);
}

TEST_F(ChannelLimitsTest, ConnectionsAgeOut) {
  ListenOptions options;
  options.max_connection_age = absl::Milliseconds(200);
  RawHttp2 connection(StartServer(options));
  const RawHttp2::Received received = connection.ReadUntilClosed(absl::Seconds(1));
  EXPECT_TRUE(std::any_of(received.frames.begin(), received.frames.end(),
                          [](const auto& frame) { return frame.type == RawHttp2::kGoAway; }));
}

TEST_F(ChannelLimitsTest, OldConnectionsLeaveTheirScopesOpen) {
  ListenOptions options;
  options.max_connection_age = absl::Milliseconds(200);
  const auto client = ConnectOnce(StartServer(options));
  v1::HoldScopeRequest request;
  request.set_backend("eager");
  const auto scope = client->HoldScope(request, /*process=*/false);
  ASSERT_TRUE(scope.ok()) << scope.status();
  absl::SleepFor(absl::Seconds(1));
  EXPECT_FALSE((*scope)->ended());
  EXPECT_EQ((*scope)->End(), absl::OkStatus());
}

// A stream of reflection holds a thread; a thousand of them must not hold a thousand.
TEST_F(ChannelLimitsTest, ReflectionStreamsDoNotTakeAThreadEach) {
  const std::string address = StartServer({});
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  };
  RawHttp2 hostile(address);
  const auto before = threads();
  for (uint32_t i = 0; i < 200; ++i) {
    hostile.StartCall(2 * i + 1, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  }
  const auto client = ConnectOnce(address);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(*client->CheckHealth("liveness"), "SERVING");
  EXPECT_TRUE(client->ListBackends().ok());
  EXPECT_LT(threads() - before, 40);
}

struct MalformedCase {
  const char* method;
  std::string bytes;
  const char* words;
};

TEST_F(ChannelLimitsTest, SmallMessagesAreSmallAndWellFormed) {
  StartServer({});
  grpc::GenericStub stub(channel_);
  const std::string long_text(kMaxSmallMessageBytes, 'x');
  v1::SetForcedOverrideRequest long_name;
  long_name.set_backend(long_text);
  const MalformedCase kCases[] = {
      {"/attention.v1.AdminService/SetForcedOverride", long_name.SerializeAsString(), "allowed"},
      {"/attention.v1.AdminService/GetPolicy", "\x0f", "GetPolicyRequest"},
      {"/attention.v1.AdminService/GetPolicy", std::string("\x78\x01", 2), "unknown field"},
      {"/attention.v1.AttentionService/ListBackends", "\xff\xff", "ListBackendsRequest"},
      {"/attention.v1.AttentionService/HoldScope", "\xff\xff", "HoldScopeRequest"},
      {"/attention.v1.AdminService/HoldProcessScope", long_text + "x", "allowed"},
  };
  for (const MalformedCase& bad : kCases) {
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareCall(&context, bad.method, &queue);
    const auto next = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      queue.Next(&tag, &ok);
    };
    call->StartCall(nullptr);
    next();
    const grpc::Slice slice(bad.bytes);
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    next();
    grpc::Status status;
    call->Finish(&status, nullptr);
    next();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << bad.method;
    EXPECT_THAT(status.error_message(), HasSubstr(bad.words)) << bad.method;
  }
}

// Sends nearly all of `callers` requests that never end; how many bytes the process grew by.
int64_t GrowthByUnfinishedCalls(const std::string& address, int callers, int64_t message_bytes) {
  const int64_t before_bytes = ResidentBytes();
  std::vector<std::unique_ptr<RawHttp2>> held;
  for (int i = 0; i < callers; ++i) {
    held.push_back(std::make_unique<RawHttp2>(address));
    held.back()->StartCall(1, "/attention.v1.AttentionService/Attend");
    held.back()->SendUnfinished(1, message_bytes);
  }
  const int64_t growth_bytes = ResidentBytes() - before_bytes;
  // Whoever finishes is served. A connection that was just made counts as idle and may be closed
  // to make room; clients call again.
  bool served = false;
  for (int i = 0; i < 20 && !served; ++i) served = ConnectOnce(address)->ListBackends().ok();
  EXPECT_TRUE(served);
  return growth_bytes;
}

TEST_F(ChannelLimitsTest, UnfinishedRequestsDoNotTakeTheMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  constexpr int kCallers = 32;
  constexpr int64_t kMessageBytes = int64_t{8} << 20;
  constexpr int64_t kSentBytes = kCallers * kMessageBytes;
  ListenOptions options;
  options.max_receive_bytes = kSentBytes / 4;
  EXPECT_LT(GrowthByUnfinishedCalls(StartServer(options), kCallers, kMessageBytes), kSentBytes / 2);
  server_.reset();
  EXPECT_GT(GrowthByUnfinishedCalls(StartServer({}), kCallers, kMessageBytes), kSentBytes / 2)
      << "the way in which this test loads a server does not";
}

}  // namespace
}  // namespace attn
