// What tensors hold is first seen when the call runs: a mistake in it is the caller's all the same,
// and ends as one that was seen before, but among the calls that ran.
#include <limits>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "kernels/builtin_backends.h"
#include "server/services/backend_faults.h"
#include "tests/server/services/server_fixture.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

// How calls ended: `finished, running`.
class Ends {
 public:
  void Add(const CallRecord& record) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    ends_.push_back(std::string(kCallEndNames[static_cast<size_t>(record.end)]) + ", " +
                    kCallStageNames[static_cast<size_t>(record.stage)]);
  }
  // As soon as there are so many; fewer after ten seconds.
  std::vector<std::string> Await(size_t count) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    const auto all = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ends_.size() >= count; };
    mutex_.AwaitWithTimeout(absl::Condition(&all), absl::Seconds(10));
    return ends_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> ends_ ABSL_GUARDED_BY(mutex_);
};

class EndsObserver final : public CallObserver {
 public:
  explicit EndsObserver(std::shared_ptr<Ends> ends) : ends_(std::move(ends)) {}
  void OnCallStarted() override {}
  void OnCallEnded(const CallRecord& record) override { ends_->Add(record); }
  void OnQueueChanged(const QueueLoad& /*load*/) override {}

 private:
  const std::shared_ptr<Ends> ends_;
};

struct WrongData {
  std::string name;
  std::string fields;
  std::string tensor;  // fp32 where `number` counts, else int64 of -1.
  std::vector<int64_t> shape;
  float number;
  std::string error;
};

void PrintTo(const WrongData& wrong, std::ostream* out) { *out << wrong.name; }

class DataErrorsTest : public ::testing::TestWithParam<WrongData> {};

TEST_P(DataErrorsTest, EndAsTheCallersMistakeAmongTheCallsThatRan) {
  const WrongData& wrong = GetParam();
  const auto ends = std::make_shared<Ends>();
  ServerParts parts(CreateBuiltinRegistry().value(), std::make_unique<EndsObserver>(ends));
  const auto server = parts.Start({.addresses = {"unix:" + parts.Path("data.sock")}}).value();
  server->SetReady();
  const auto client = ConnectOnce(server->addresses()[0]);

  const std::vector<float> tokens(2 * 4 * 8);
  const std::vector<float> floats(16, wrong.number);
  const std::vector<int64_t> integers(16, -1);
  AttendArguments call;
  for (const char* name : {"q", "k", "v"}) {
    call.tensors.push_back({.name = name,
                            .dtype = DType::kFloat32,
                            .shape = {2, 1, 4, 8},
                            .data = std::as_bytes(std::span(tokens))});
  }
  const bool is_float = wrong.number != 0;
  size_t elements = 1;
  for (const int64_t size : wrong.shape) elements *= static_cast<size_t>(size);
  call.tensors.push_back({.name = wrong.tensor,
                          .dtype = is_float ? DType::kFloat32 : DType::kInt64,
                          .shape = wrong.shape,
                          .data = is_float ? std::as_bytes(std::span(floats).first(elements))
                                           : std::as_bytes(std::span(integers).first(elements))});
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(wrong.fields, &call.request));
  size_t calls = 0;
  for (const char* backend : {"eager", "flash", "flex"}) {
    call.request.set_backend(backend);
    for (int i = 0; i < kFaultsBeforeQuarantine; ++i, ++calls) {
      const absl::Status status = client->Attend(call, {}).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << backend << ": " << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr(wrong.error));
    }
  }
  EXPECT_EQ(ends->Await(calls), std::vector<std::string>(calls, "finished, running"));
  EXPECT_TRUE(parts.policy().Snapshot()->quarantined.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Rows, DataErrorsTest,
    ::testing::Values(WrongData{"mask_seen_in_a_tile",
                                "mask { expression { prefix { lengths: 'n' } } }",
                                "n",
                                {2},
                                0,
                                "-1"},
                      WrongData{"weights_seen_in_prepare",
                                "skip_scores { mode: VALUE sample_weights: 'w' }",
                                "w",
                                {2},
                                std::numeric_limits<float>::quiet_NaN(),
                                "skip_scores.sample_weights: the weight of"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace attn
