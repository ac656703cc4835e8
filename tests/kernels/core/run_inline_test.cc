#include "tests/support/run_inline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/kernels/core/fake_backend.h"

namespace attn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(RunInline, RunsEveryTileOfEveryPhaseInOrderThenFinishes) {
  const FakeBackend backend("fake", 0, {.tiles = {2, 0, 1}});
  const absl::StatusOr<RunResult> result = RunInline(backend, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->stats.computed_elements, 17);
  EXPECT_THAT(backend.steps(), ElementsAre("prepare", "phase 0", "tile 0.0", "tile 0.1", "phase 1",
                                           "phase 2", "tile 2.0", "finish"));
}

TEST(RunInline, TheFirstFailedTileEndsTheCallWithoutFinish) {
  const FakeBackend backend("fake", 0, {.tiles = {3, 1}, .failing_step = "tile 0.1"});
  EXPECT_EQ(RunInline(backend, {}).status(), absl::InternalError("tile failed"));
  EXPECT_THAT(backend.steps(), ElementsAre("prepare", "phase 0", "tile 0.0", "tile 0.1"));
}

TEST(RunInline, WhatTheBackendRefusesIsNotPrepared) {
  const FakeBackend unavailable("fake", 0, {.available = absl::UnavailableError("no device")});
  EXPECT_EQ(RunInline(unavailable, {}).status(), absl::UnavailableError("no device"));
  EXPECT_THAT(unavailable.steps(), IsEmpty());

  const FakeBackend unable("fake", 0, {.supports = absl::UnimplementedError("not this")});
  EXPECT_EQ(RunInline(unable, {}).status(), absl::UnimplementedError("not this"));
  EXPECT_THAT(unable.steps(), IsEmpty());

  const FakeBackend unfit("fake", 0, {.check = absl::InvalidArgumentError("not so")});
  EXPECT_EQ(RunInline(unfit, {}).status(), absl::InvalidArgumentError("not so"));
  EXPECT_THAT(unfit.steps(), IsEmpty());

  const FakeBackend plain("fake", 0);
  AttentionCall call;
  call.options["block"] = {int64_t{64}};
  const absl::Status status = RunInline(plain, call).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("fake: unknown option 'block'"));
  EXPECT_THAT(plain.steps(), IsEmpty());
}

TEST(RunInline, AFailedPrepareIsReturned) {
  const FakeBackend backend("fake", 0, {.prepare = absl::ResourceExhaustedError("memory")});
  EXPECT_EQ(RunInline(backend, {}).status(), absl::ResourceExhaustedError("memory"));
}

}  // namespace
}  // namespace attn
