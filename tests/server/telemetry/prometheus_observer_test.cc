#include "server/telemetry/prometheus_observer.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
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
  return {.transport = "unix",
          .backend = "flash",
          .device = "cpu",
          .rule = "automatic",
          .times = {.queue_ns = 20'000,
                    .decode_ns = 200'000,
                    .plan_ns = 0,
                    .kernel_ns = 3'000'000,
                    .encode_ns = 1'000,
                    .total_ns = 4'000'000'000},
          .batch_calls = 3,
          .request_bytes = 100,
          .response_bytes = 40,
          .sparsity = 0.5,
          .computed_flops = 1e9,
          .effective_flops = 2e9};
}

CallRecord Refused() {
  return {.transport = "tcp",
          .backend = "none",
          .device = "none",
          .end = CallEnd::kRefused,
          .stage = CallStage::kReading,
          .refusal = "invalid",
          .status = absl::InvalidArgumentError("no tensors"),
          .times = {.total_ns = 1000},
          .request_bytes = 7};
}

TEST_F(PrometheusObserverTest, WhatNeedsNoCallExistsBeforeTheFirst) {
  const std::string text = Text();
  for (const char* line : {
           "attn_calls_started_total 0\n",
           "attn_calls_ended_total{end=\"finished\"} 0\n",
           "attn_calls_ended_total{end=\"refused\"} 0\n",
           "attn_calls_ended_total{end=\"cancelled\"} 0\n",
           "attn_calls_refused_total{reason=\"queue_full\"} 0\n",
           "attn_calls_refused_total{reason=\"draining\"} 0\n",
           "attn_calls_cancelled_total{stage=\"queued\"} 0\n",
           "attn_payload_bytes_total{direction=\"in\",transport=\"tcp\"} 0\n",
           "attn_payload_bytes_total{direction=\"out\",transport=\"unix\"} 0\n",
           "attn_queue_waiting_calls{priority=\"interactive\"} 0\n",
           "attn_queue_running_calls{priority=\"batch\"} 0\n",
           "attn_queue_admitted_bytes{priority=\"batch\"} 0\n",
           "attn_build_info{compiler=\"g++ 12.2.0\",cuda_toolkit=\"none\",version=\"1.2.3\"} 1\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(PrometheusObserverTest, SuccessIsCountedAndTimed) {
  observer_.OnCallStarted();
  observer_.OnCallEnded(Success());
  observer_.OnCallStarted();
  observer_.OnCallEnded(Success());
  const std::string text = Text();
  for (const char* line : {
           "attn_calls_started_total 2\n",
           "attn_calls_ended_total{end=\"finished\"} 2\n",
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
           "attn_batch_calls_bucket{backend=\"flash\",le=\"2\"} 0\n",
           "attn_batch_calls_bucket{backend=\"flash\",le=\"4\"} 2\n",
           "attn_batch_calls_sum{backend=\"flash\"} 6\n",
           "attn_flops_total{backend=\"flash\",kind=\"computed\"} 2000000000\n",
           "attn_flops_total{backend=\"flash\",kind=\"effective\"} 4000000000\n",
           "attn_payload_bytes_total{direction=\"in\",transport=\"unix\"} 200\n",
           "attn_payload_bytes_total{direction=\"out\",transport=\"unix\"} 80\n",
           "attn_payload_bytes_total{direction=\"in\",transport=\"tcp\"} 0\n",
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

TEST_F(PrometheusObserverTest, CancelledCallIsCountedByStageWithoutSparsityOrFlops) {
  CallRecord record = Success();
  record.end = CallEnd::kCancelled;
  record.stage = CallStage::kRunning;
  record.status = absl::DeadlineExceededError("late");
  observer_.OnCallEnded(record);
  const std::string text = Text();
  for (const char* line : {
           "attn_calls_ended_total{end=\"cancelled\"} 1\n",
           "attn_calls_ended_total{end=\"finished\"} 0\n",
           "attn_calls_cancelled_total{stage=\"running\"} 1\n",
           "attn_calls_total{backend=\"flash\",code=\"DEADLINE_EXCEEDED\",device=\"cpu\"} 1\n",
           "attn_call_stage_seconds_count{backend=\"flash\",stage=\"total\"} 1\n",
           "attn_selections_total{backend=\"flash\",rule=\"automatic\"} 1\n",
           "attn_batch_calls_count{backend=\"flash\"} 1\n",
           "attn_call_sparsity_count{backend=\"flash\"} 0\n",
           "attn_flops_total{backend=\"flash\",kind=\"computed\"} 0\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(PrometheusObserverTest, CallThatNeverRanHasNoBatch) {
  CallRecord record = Success();
  record.end = CallEnd::kCancelled;
  record.stage = CallStage::kQueued;
  record.batch_calls = 0;
  record.status = absl::CancelledError("gone");
  observer_.OnCallEnded(record);
  EXPECT_THAT(Text(), HasSubstr("attn_batch_calls_count{backend=\"flash\"} 0\n"));
}

TEST_F(PrometheusObserverTest, RefusalIsCountedByReasonAndHasNoRule) {
  observer_.OnCallEnded(Refused());
  CallRecord full = Refused();
  full.refusal = "queue_full";
  full.status = absl::ResourceExhaustedError("full");
  observer_.OnCallEnded(full);
  const std::string text = Text();
  for (const char* line : {
           "attn_calls_ended_total{end=\"refused\"} 2\n",
           "attn_calls_refused_total{reason=\"invalid\"} 1\n",
           "attn_calls_refused_total{reason=\"queue_full\"} 1\n",
           "attn_calls_total{backend=\"none\",code=\"INVALID_ARGUMENT\",device=\"none\"} 1\n",
           "attn_payload_bytes_total{direction=\"in\",transport=\"tcp\"} 14\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("attn_selections_total{")));
  EXPECT_THAT(text, Not(HasSubstr("attn_flops_total{backend=\"none\"")));
}

TEST_F(PrometheusObserverTest, EveryStatusCodeHasItsName) {
  for (int code = 0; code <= 16; ++code) {
    CallRecord record = Success();
    record.status = absl::Status(static_cast<absl::StatusCode>(code), "");
    observer_.OnCallEnded(record);
    EXPECT_THAT(Text(),
                HasSubstr("code=\"" + absl::StatusCodeToString(record.status.code()) + "\""));
  }
}

TEST_F(PrometheusObserverTest, QueueGaugesFollowByPriority) {
  observer_.OnQueueChanged({{3, 30}, {2, 20}, {int64_t{5} << 30, 6}});
  const std::string text = Text();
  for (const char* line : {
           "attn_queue_waiting_calls{priority=\"interactive\"} 3\n",
           "attn_queue_waiting_calls{priority=\"batch\"} 30\n",
           "attn_queue_running_calls{priority=\"interactive\"} 2\n",
           "attn_queue_running_calls{priority=\"batch\"} 20\n",
           "attn_queue_admitted_bytes{priority=\"interactive\"} 5368709120\n",
           "attn_queue_admitted_bytes{priority=\"batch\"} 6\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

// What callers choose is in the record, and in no label.
TEST_F(PrometheusObserverTest, CallersCannotGrowTheSeries) {
  observer_.OnCallEnded(Success());
  observer_.OnCallEnded(Refused());
  const std::string before = Text();
  for (int i = 0; i < 100; ++i) {
    const std::string hostile = absl::StrCat("hostile\"\n", i);
    for (CallRecord record : {Success(), Refused()}) {
      record.request_id = record.caller_id = record.model = hostile;
      if (!record.status.ok()) record.status = absl::InvalidArgumentError(hostile);
      observer_.OnCallEnded(record);
    }
  }
  const std::string after = Text();
  EXPECT_EQ(std::count(after.begin(), after.end(), '\n'),
            std::count(before.begin(), before.end(), '\n'));
  EXPECT_THAT(after, Not(HasSubstr("hostile")));
}

TEST_F(PrometheusObserverTest, ThreadsLoseNoCall) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      CallRecord record = Success();
      if (i % 2 == 1) record.backend = "eager";
      for (int call = 0; call < 1000; ++call) {
        observer_.OnCallStarted();
        observer_.OnCallEnded(record);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = Text();
  for (const char* line : {
           "attn_calls_started_total 4000\n",
           "attn_calls_ended_total{end=\"finished\"} 4000\n",
           "attn_calls_total{backend=\"flash\",code=\"OK\",device=\"cpu\"} 2000\n",
           "attn_calls_total{backend=\"eager\",code=\"OK\",device=\"cpu\"} 2000\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

}  // namespace
}  // namespace attn
