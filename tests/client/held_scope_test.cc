#include "absl/time/clock.h"
#include "client/attention_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

attention::v1::HoldScopeRequest EagerScope() {
  attention::v1::HoldScopeRequest request;
  request.set_backend("eager");
  request.set_holder("a test");
  request.set_time_to_live_ms(7000);
  return request;
}

TEST(HeldScope, IsOpenFromTheIdToEnd) {
  FakeAttention service;
  const FakeServer server({&service});
  const auto client = server.Connect();
  const auto scope = client->HoldScope(EagerScope(), /*process=*/false);
  ASSERT_TRUE(scope.ok()) << scope.status();
  EXPECT_EQ((*scope)->id(), "scope-1");
  EXPECT_FALSE((*scope)->ended());
  EXPECT_THAT(service.log.events(), ElementsAre("open eager for a test 7000 ms"));
  EXPECT_TRUE((*scope)->End().ok());
  // End has waited for the server's word: nothing is left to come.
  EXPECT_THAT(service.log.events(), ElementsAre("open eager for a test 7000 ms", "half-close"));
  EXPECT_TRUE((*scope)->End().ok()) << "a second End tells the same";
}

TEST(HeldScope, EndsWithItsObject) {
  FakeAttention service;
  const FakeServer server({&service});
  const auto client = server.Connect();
  { ASSERT_TRUE(client->HoldScope(EagerScope(), false).ok()); }
  EXPECT_TRUE(service.log.WaitFor("half-close"));
}

TEST(HeldScope, OutlivesItsClient) {
  FakeAttention service;
  const FakeServer server({&service});
  auto client = server.Connect();
  const auto scope = client->HoldScope(EagerScope(), false);
  client.reset();
  ASSERT_TRUE(scope.ok()) << scope.status();
  EXPECT_FALSE((*scope)->ended());
  EXPECT_TRUE((*scope)->End().ok());
}

TEST(HeldScope, KnowsThatItsTimeToLiveIsOver) {
  FakeAttention service;
  service.scope.expire = true;
  const FakeServer server({&service});
  const auto scope = server.Connect()->HoldScope(EagerScope(), false);
  ASSERT_TRUE(scope.ok()) << scope.status();
  while (!(*scope)->ended()) absl::SleepFor(absl::Milliseconds(1));
  const absl::Status status = (*scope)->End();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message(), "its time-to-live is over");
}

TEST(HeldScope, TellsWhatTheServerSaysAtTheEnd) {
  FakeAttention service;
  service.scope.at_end = {grpc::StatusCode::NOT_FOUND, "ended long ago"};
  const FakeServer server({&service});
  const auto scope = server.Connect()->HoldScope(EagerScope(), false);
  ASSERT_TRUE(scope.ok());
  EXPECT_EQ((*scope)->End(), absl::NotFoundError("ended long ago"));
}

TEST(HeldScope, LosesItsServer) {
  FakeAttention service;
  auto server = std::make_unique<FakeServer>(std::vector<grpc::Service*>{&service});
  const auto scope = server->Connect()->HoldScope(EagerScope(), false);
  ASSERT_TRUE(scope.ok());
  server.reset();
  while (!(*scope)->ended()) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_FALSE((*scope)->End().ok());
}

TEST(HoldScope, FailsWithTheServersReason) {
  FakeAttention service;
  service.scope.refusal = {grpc::StatusCode::INVALID_ARGUMENT, "unknown backend 'egaer'"};
  const FakeServer server({&service});
  EXPECT_EQ(server.Connect()->HoldScope(EagerScope(), false).status(),
            absl::InvalidArgumentError("unknown backend 'egaer'"));
}

TEST(HoldScope, RefusesAScopeWithoutAnId) {
  FakeAttention service;
  service.scope.id = "";
  const FakeServer server({&service});
  EXPECT_EQ(server.Connect()->HoldScope(EagerScope(), false).status().code(),
            absl::StatusCode::kInternal);
}

TEST(HoldScope, NamesTheServerThatItCannotReach) {
  const std::string address = ClosedAddress();
  const auto client = *AttentionClient::Create({.server = address});
  const absl::Status status = client->HoldScope(EagerScope(), false).status();
  EXPECT_TRUE(IsUnreachable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(address));
}

TEST(HoldScope, OfTheProcessIsAnAdminCall) {
  FakeAttention service;
  FakeAdmin admin;
  const FakeServer server({&service});
  const FakeServer admin_server({&admin});
  const auto client = server.Connect({.admin_server = admin_server.tcp()});
  const auto scope = client->HoldScope(EagerScope(), /*process=*/true);
  ASSERT_TRUE(scope.ok()) << scope.status();
  EXPECT_THAT(admin.log.events(), ElementsAre("open eager for a test 7000 ms"));
  EXPECT_TRUE((*scope)->End().ok());
  EXPECT_TRUE(service.log.events().empty());
}

}  // namespace
}  // namespace attn
