#include "server/telemetry/state_metrics.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/collectable.h"
#include "prometheus/text_serializer.h"

namespace attn {
namespace {

using testing::HasSubstr;
using testing::Not;

class StateMetricsTest : public testing::Test {
 protected:
  std::string Text() const { return prometheus::TextSerializer().Serialize(metrics_->Collect()); }

  ServerState state_{.backends = {{"flash", "cpu", true}, {"cudnn", "cuda:0", false}},
                     .quarantined = {},
                     .cpu_isa = "avx512_bf16",
                     .forced_backend = ""};
  const std::shared_ptr<prometheus::Collectable> metrics_ = StateMetrics([this] { return state_; });
};

TEST_F(StateMetricsTest, EveryBackendHasItsSeriesWhetherSteeredOrNot) {
  const std::string text = Text();
  for (const char* line : {
           "attn_backend_available{backend=\"flash\",device=\"cpu\"} 1\n",
           "attn_backend_available{backend=\"cudnn\",device=\"cuda:0\"} 0\n",
           "attn_cpu_isa{isa=\"avx512_bf16\"} 1\n",
           "attn_backend_quarantined{automatic=\"false\",backend=\"flash\"} 0\n",
           "attn_backend_quarantined{automatic=\"true\",backend=\"cudnn\"} 0\n",
           "attn_forced_override{backend=\"flash\"} 0\n",
           "attn_forced_override{backend=\"auto\"} 0\n",
           "attn_scopes{kind=\"calls\"} 0\n",
           "attn_scopes{kind=\"process\"} 0\n",
           "attn_ready 0\n",
           "attn_draining 0\n",
           "attn_config_reloads_total{result=\"ok\"} 0\n",
           "attn_config_reloads_total{result=\"refused\"} 0\n",
           "attn_log_lines_dropped_total 0\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(StateMetricsTest, FollowsTheState) {
  Text();
  state_.forced_backend = "flash";
  state_.quarantined = {{"cudnn", true}, {"psa", false}};  // The latter is not in the build.
  state_.call_scopes = 2;
  state_.process_scopes = 1;
  state_.ready = state_.draining = true;
  state_.accepted_reloads = 3;
  state_.refused_reloads = 4;
  state_.dropped_log_lines = 5;
  const std::string text = Text();
  for (const char* line : {
           "attn_forced_override{backend=\"flash\"} 1\n",
           "attn_forced_override{backend=\"cudnn\"} 0\n",
           "attn_backend_quarantined{automatic=\"true\",backend=\"cudnn\"} 1\n",
           "attn_backend_quarantined{automatic=\"false\",backend=\"cudnn\"} 0\n",
           "attn_backend_quarantined{automatic=\"false\",backend=\"psa\"} 1\n",
           "attn_scopes{kind=\"calls\"} 2\n",
           "attn_scopes{kind=\"process\"} 1\n",
           "attn_ready 1\n",
           "attn_draining 1\n",
           "attn_config_reloads_total{result=\"ok\"} 3\n",
           "attn_config_reloads_total{result=\"refused\"} 4\n",
           "attn_log_lines_dropped_total 5\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  state_.forced_backend.clear();
  EXPECT_THAT(Text(), HasSubstr("attn_forced_override{backend=\"flash\"} 0\n"));
}

TEST_F(StateMetricsTest, CountersAreDeclaredAsSuch) {
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("# TYPE attn_config_reloads_total counter\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE attn_scopes gauge\n"));
  EXPECT_THAT(text, Not(HasSubstr("untyped")));
}

}  // namespace
}  // namespace attn
