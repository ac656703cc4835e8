// When health says that new calls should come.
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/server/services/server_fixture.h"
#include "tests/support/health_watch.h"

namespace attn {
namespace {

class ReadinessTest : public ::testing::Test {
 protected:
  ReadinessTest() {
    ListenOptions options;
    options.addresses = {"127.0.0.1:0", "0.0.0.0:0"};
    auto server = parts_.Start(options);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    client_ = ConnectOnce(server_->addresses()[0]);
    other_ = ConnectOnce(OverLoopback(server_->addresses()[1]));
  }

  // All names that mean readiness, on both kinds of listeners.
  bool BecomesReady(bool ready) {
    const std::string health = ready ? "SERVING" : "NOT_SERVING";
    for (AttentionClient* client : {client_.get(), other_.get()}) {
      for (const char* name : {"readiness", "", "attention.v1.AttentionService"}) {
        if (!BecomesHealth(*client, name, health)) return false;
      }
      EXPECT_EQ(*client->CheckHealth("liveness"), "SERVING");
      EXPECT_EQ(*client->CheckHealth("attention.v1.AdminService"), "SERVING");
    }
    return server_->ready() == ready;
  }

  ServerParts parts_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<AttentionClient> client_;
  std::unique_ptr<AttentionClient> other_;
};

TEST_F(ReadinessTest, IsOffUntilTheServerIsSetReady) {
  EXPECT_EQ(*client_->CheckHealth("readiness"), "NOT_SERVING");
  EXPECT_TRUE(BecomesReady(false));
  server_->SetReady();
  EXPECT_EQ(*client_->CheckHealth("readiness"), "SERVING") << "at once";
  EXPECT_TRUE(BecomesReady(true));
}

TEST_F(ReadinessTest, IsOffWhileEveryBackendIsQuarantined) {
  server_->SetReady();
  ASSERT_TRUE(parts_.policy().QuarantineBackend("flash", "a test", false).ok());
  absl::SleepFor(2 * Readiness::kInterval);
  EXPECT_TRUE(BecomesReady(true)) << "eager is left";
  ASSERT_TRUE(parts_.policy().QuarantineBackend("eager", "a test", true).ok());
  EXPECT_TRUE(BecomesReady(false));
  ASSERT_TRUE(parts_.policy().ReleaseBackend("eager").ok());
  EXPECT_TRUE(BecomesReady(true));
}

TEST_F(ReadinessTest, IsOffWhileNoBackendIsAvailable) {
  server_->SetReady();
  parts_.SetAvailable(false);
  EXPECT_TRUE(BecomesReady(false));
  parts_.SetAvailable(true);
  EXPECT_TRUE(BecomesReady(true));
}

TEST_F(ReadinessTest, IsOffForEverOnceDrainIsAnnounced) {
  server_->SetReady();
  server_->AnnounceDrain();
  EXPECT_EQ(*client_->CheckHealth("readiness"), "NOT_SERVING") << "at once";
  EXPECT_TRUE(server_->draining());
  EXPECT_TRUE(client_->GetPolicy()->draining());
  EXPECT_TRUE(client_->ListBackends().ok()) << "a lame duck serves on";
  EXPECT_FALSE(parts_.executor().draining());
  server_->SetReady();
  absl::SleepFor(2 * Readiness::kInterval);
  EXPECT_TRUE(BecomesReady(false));
  EXPECT_TRUE(server_->Drain(absl::Seconds(1)));
  EXPECT_EQ(server_->cut_off_calls(), 0);
}

// A driver that hangs keeps nobody from being told that the server goes away.
TEST_F(ReadinessTest, DrainIsAnnouncedWhileABackendDoesNotAnswer) {
  server_->SetReady();
  parts_.HoldAvailability();
  server_->AnnounceDrain();
  EXPECT_FALSE(server_->ready());
  EXPECT_TRUE(server_->draining());
  EXPECT_EQ(*client_->CheckHealth("readiness"), "NOT_SERVING");
  EXPECT_TRUE(parts_.ReleaseAvailability()) << "somebody waited for the backend";
  EXPECT_TRUE(BecomesReady(false));
}

TEST_F(ReadinessTest, ReachesThoseWhoWatch) {
  HealthWatch watch(server_->addresses()[0]);
  EXPECT_EQ(watch.Next(), HealthWatch::kNotServing);
  server_->SetReady();
  EXPECT_EQ(watch.Next(), HealthWatch::kServing);
  server_->AnnounceDrain();
  EXPECT_EQ(watch.Next(), HealthWatch::kNotServing);
}

}  // namespace
}  // namespace attn
