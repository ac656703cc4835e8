#include "server/telemetry/prometheus_observer.h"

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/collectable.h"
#include "prometheus/text_serializer.h"

namespace attn {
namespace {

using testing::HasSubstr;
using testing::Not;

class PrometheusObserverTest : public testing::Test {
 protected:
  // Every line of the exposition, each ended.
  std::string Text() const {
    return prometheus::TextSerializer().Serialize(observer_.metrics()->Collect());
  }

  PrometheusObserver observer_{{"1.2.3", "g++ 12.2.0", "none"}};
};

CallRecord Success() {
  return {.backend = "flash",
          .device = "cpu",
          .rule = "automatic",
          .code = absl::StatusCode::kOk,
          .times = {.queue_ns = 20'000,
                    .decode_ns = 200'000,
                    .plan_ns = 0,
                    .kernel_ns = 3'000'000,
                    .encode_ns = 1'000,
                    .total_ns = 4'000'000'000},
          .sparsity = 0.5};
}

TEST_F(PrometheusObserverTest, GaugesAndBuildInfoExistBeforeTheFirstCall) {
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("attn_queue_waiting_calls 0\n"));
  EXPECT_THAT(text, HasSubstr("attn_queue_running_calls 0\n"));
  EXPECT_THAT(text, HasSubstr("attn_queue_admitted_bytes 0\n"));
  EXPECT_THAT(text, HasSubstr("attn_build_info{compiler=\"g++ 12.2.0\",cuda_toolkit=\"none\","
                              "version=\"1.2.3\"} 1\n"));
}

TEST_F(PrometheusObserverTest, SuccessIsCountedAndTimed) {
  observer_.OnCallEnded(Success());
  observer_.OnCallEnded(Success());
  const std::string text = Text();
  for (const char* line : {
           "attn_calls_total{backend=\"flash\",code=\"OK\",device=\"cpu\"} 2\n",
           "attn_selections_total{backend=\"flash\",rule=\"automatic\"} 2\n",
           "attn_call_stage_seconds_count{backend=\"flash\",stage=\"total\"} 2\n",
           "attn_call_stage_seconds_sum{backend=\"flash\",stage=\"total\"} 8\n",
           "attn_call_stage_seconds_bucket{backend=\"flash\",stage=\"queue\",le=\"1e-05\"} 0\n",
           "attn_call_stage_seconds_bucket{backend=\"flash\",stage=\"queue\",le=\"2.5e-05\"} 2\n",
           "attn_call_stage_seconds_bucket{backend=\"flash\",stage=\"encode\",le=\"1e-05\"} 2\n",
           "attn_call_stage_seconds_bucket{backend=\"flash\",stage=\"kernel\",le=\"0.0025\"} 0\n",
           "attn_call_stage_seconds_bucket{backend=\"flash\",stage=\"kernel\",le=\"0.005\"} 2\n",
           "attn_call_stage_seconds_bucket{backend=\"flash\",stage=\"total\",le=\"100\"} 2\n",
           "attn_call_sparsity_bucket{backend=\"flash\",le=\"0.4\"} 0\n",
           "attn_call_sparsity_bucket{backend=\"flash\",le=\"0.5\"} 2\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  // A stage of no time was not gone through.
  EXPECT_THAT(text,
              HasSubstr("attn_call_stage_seconds_count{backend=\"flash\",stage=\"plan\"} 0\n"));
}

TEST_F(PrometheusObserverTest, DenseCallsHaveASparsityBucketOfTheirOwn) {
  CallRecord record = Success();
  record.sparsity = 0;
  observer_.OnCallEnded(record);
  EXPECT_THAT(Text(), HasSubstr("attn_call_sparsity_bucket{backend=\"flash\",le=\"0\"} 1\n"));
}

TEST_F(PrometheusObserverTest, FailureIsCountedAndTimedWithoutSparsity) {
  CallRecord record = Success();
  record.code = absl::StatusCode::kDeadlineExceeded;
  observer_.OnCallEnded(record);
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("attn_calls_total{backend=\"flash\",code=\"DEADLINE_EXCEEDED\","
                              "device=\"cpu\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("attn_call_stage_seconds_count{backend=\"flash\",stage=\"total\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("attn_selections_total{backend=\"flash\",rule=\"automatic\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("attn_call_sparsity_count{backend=\"flash\"} 0\n"));
}

TEST_F(PrometheusObserverTest, CallRefusedBeforeSelectionHasNoRule) {
  observer_.OnCallEnded({.backend = "none",
                         .device = "none",
                         .code = absl::StatusCode::kInvalidArgument,
                         .times = {.total_ns = 1000}});
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("attn_calls_total{backend=\"none\",code=\"INVALID_ARGUMENT\","
                              "device=\"none\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("attn_selections_total{")));
}

TEST_F(PrometheusObserverTest, EveryStatusCodeHasItsName) {
  for (int code = 0; code <= 16; ++code) {
    CallRecord record = Success();
    record.code = static_cast<absl::StatusCode>(code);
    observer_.OnCallEnded(record);
    EXPECT_THAT(Text(), HasSubstr("code=\"" + absl::StatusCodeToString(record.code) + "\""));
  }
}

TEST_F(PrometheusObserverTest, QueueGaugesFollow) {
  observer_.OnQueueChanged(3, 2, int64_t{5} << 30);
  const std::string text = Text();
  EXPECT_THAT(text, HasSubstr("attn_queue_waiting_calls 3\n"));
  EXPECT_THAT(text, HasSubstr("attn_queue_running_calls 2\n"));
  EXPECT_THAT(text, HasSubstr("attn_queue_admitted_bytes 5368709120\n"));
}

TEST_F(PrometheusObserverTest, ThreadsLoseNoCall) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      CallRecord record = Success();
      if (i % 2 == 1) record.backend = "eager";
      for (int call = 0; call < 1000; ++call) observer_.OnCallEnded(record);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = Text();
  EXPECT_THAT(text,
              HasSubstr("attn_calls_total{backend=\"flash\",code=\"OK\",device=\"cpu\"} 2000\n"));
  EXPECT_THAT(text,
              HasSubstr("attn_calls_total{backend=\"eager\",code=\"OK\",device=\"cpu\"} 2000\n"));
}

}  // namespace
}  // namespace attn
