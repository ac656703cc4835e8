#include "server/services/backend_faults.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

class BackendFaultsTest : public ::testing::Test {
 protected:
  bool Quarantined() const { return policy_->Snapshot()->quarantined.contains("flash"); }

  const std::unique_ptr<PolicyState> policy_ = PolicyState::Create("", nullptr).value();
  BackendFaults faults_{policy_.get()};
  const absl::Status broken_ = absl::InternalError("device lost\n");
};

TEST_F(BackendFaultsTest, QuarantinesAfterFaultsInARow) {
  for (int i = 1; i < kFaultsBeforeQuarantine; ++i) faults_.Record("flash", broken_);
  EXPECT_FALSE(Quarantined());
  faults_.Record("flash", broken_);
  ASSERT_TRUE(Quarantined());
  const QuarantineRecord record = policy_->Snapshot()->quarantined.find("flash")->second;
  EXPECT_TRUE(record.automatic);
  EXPECT_THAT(record.reason, ::testing::HasSubstr("device lost"));
}

TEST_F(BackendFaultsTest, AnnouncesItsQuarantineAndNoneThatAnOperatorForestalled) {
  std::vector<std::string> announced;
  BackendFaults faults(policy_.get(), [&](const std::string& backend, const std::string& reason) {
    announced.push_back(backend + ": " + reason);
  });
  ASSERT_TRUE(policy_->QuarantineBackend("flash", "wrong images", /*automatic=*/false).ok());
  for (int i = 0; i < kFaultsBeforeQuarantine; ++i) faults.Record("flash", broken_);
  EXPECT_THAT(announced, ::testing::IsEmpty());
  EXPECT_EQ(policy_->Snapshot()->quarantined.at("flash").reason, "wrong images");
  ASSERT_TRUE(policy_->ReleaseBackend("flash").ok());
  for (int i = 0; i < kFaultsBeforeQuarantine; ++i) faults.Record("flash", broken_);
  ASSERT_EQ(announced.size(), 1U);
  EXPECT_THAT(announced[0], ::testing::StartsWith("flash: 3 errors in a row"));
}

TEST_F(BackendFaultsTest, SuccessTakesEarlierFaultsBack) {
  for (int i = 0; i < 4 * kFaultsBeforeQuarantine; ++i) {
    faults_.Record("flash", broken_);
    if (i % 2 == 1) faults_.Record("flash", absl::OkStatus());
  }
  EXPECT_FALSE(Quarantined());
}

TEST_F(BackendFaultsTest, OtherEndsAndOtherBackendsDoNotCount) {
  for (int i = 0; i < 2 * kFaultsBeforeQuarantine; ++i) {
    faults_.Record("flash", absl::CancelledError());
    faults_.Record("flash", absl::ResourceExhaustedError("memory"));
    faults_.Record("eager", broken_);
  }
  EXPECT_FALSE(Quarantined());
}

TEST_F(BackendFaultsTest, CountsAnewAfterARelease) {
  for (int i = 0; i < kFaultsBeforeQuarantine; ++i) faults_.Record("flash", broken_);
  ASSERT_TRUE(policy_->ReleaseBackend("flash").ok());
  faults_.Record("flash", broken_);
  EXPECT_FALSE(Quarantined());
}

}  // namespace
}  // namespace attn
