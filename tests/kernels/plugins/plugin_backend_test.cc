// What a plug-in's callbacks see, and what becomes of what they say.
#include "kernels/plugins/plugin_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/core/options.h"
#include "tests/kernels/plugins/plugin_tables.h"
#include "tests/support/random_tensors.h"
#include "tests/support/run_inline.h"

namespace attn {
namespace {

using ::testing::HasSubstr;

// What one call of the test sees and does; the `self` of its table.
struct Seen {
  std::function<void(const attn_call&)> look;
  std::string failing;  // The callback that fails, ...
  attn_status status = ATTN_INTERNAL;
  bool throws = false;  // ... and how.
  int64_t tiles = 1;
  int64_t scratch_bytes = 0;
  int destroyed = 0;
  int finished = 0;
  int64_t workspace_bytes = 0;
  double elements = 1;
};

attn_status Act(void* self, const std::string& callback, char* error, size_t error_size) {
  const Seen& seen = *static_cast<Seen*>(self);
  if (seen.failing != callback) return ATTN_OK;
  if (seen.throws) throw std::runtime_error("it went\nwrong");
  std::snprintf(error, error_size, "%s says no\x01", callback.c_str());
  return seen.status;
}

attn_status Supports(void* self, const attn_problem*, char* error, size_t error_size) {
  return Act(self, "supports", error, error_size);
}

int64_t WorkspaceBytes(void* self, const attn_problem*) {
  char error[64];
  Act(self, "workspace_bytes", error, sizeof(error));
  return static_cast<Seen*>(self)->workspace_bytes;
}

attn_status Prepare(void* self, const attn_call* call, attn_execution* execution, char* error,
                    size_t error_size) {
  auto& seen = *static_cast<Seen*>(self);
  if (seen.look) seen.look(*call);
  execution->tiles = seen.tiles;
  execution->scratch_bytes = seen.scratch_bytes;
  return Act(self, "prepare", error, error_size);
}

attn_status RunTile(void* self, void*, int64_t, void* scratch, char* error, size_t error_size) {
  const auto& seen = *static_cast<Seen*>(self);
  if (seen.scratch_bytes > 0) static_cast<char*>(scratch)[seen.scratch_bytes - 1] = 1;
  return Act(self, "run_tile", error, error_size);
}

attn_status Finish(void* self, void*, attn_result* result, char* error, size_t error_size) {
  ++static_cast<Seen*>(self)->finished;
  result->computed_elements = static_cast<Seen*>(self)->elements;
  return Act(self, "finish", error, error_size);
}

void Destroy(void* self, void*) {
  ++static_cast<Seen*>(self)->destroyed;
  char error[64];
  Act(self, "destroy", error, sizeof(error));
}

std::unique_ptr<Backend> Watched(Seen* seen) {
  attn_backend table = GoodBackend();
  table.self = seen;
  table.supports = Supports;
  table.workspace_bytes = WorkspaceBytes;
  table.prepare = Prepare;
  table.run_tile = RunTile;
  table.finish = Finish;
  table.destroy = Destroy;
  return CreatePluginBackend(&table, "probe.so", nullptr).value();
}

CallShape SmallShape() { return {.batch = 2, .heads = 2, .query_len = 6, .key_len = 9}; }

TEST(PluginBackend, SeesTheCallAsItIs) {
  CallShape shape = SmallShape();
  shape.value_dim = 16;
  shape.mask.causal = true;
  shape.pattern = "b s h d";
  OwnedCall call(shape);
  call.call.problem.metadata.timestep = 7;
  call.call.problem.metadata.grid = {1, 2, 3};
  Seen seen;
  seen.look = [&](const attn_call& plain) {
    const attn_problem& problem = *plain.problem;
    EXPECT_EQ(plain.struct_size, sizeof(attn_call));
    EXPECT_EQ(problem.batch, 2);
    EXPECT_EQ(problem.query_len, 6);
    EXPECT_EQ(problem.key_len, 9);
    EXPECT_EQ(problem.value_dim, 16);
    EXPECT_EQ(problem.dtype, ATTN_FP32);
    EXPECT_DOUBLE_EQ(problem.scale, call.call.problem.scale);
    EXPECT_EQ(problem.timestep, 7);
    EXPECT_EQ(problem.layer, -1);
    EXPECT_EQ(problem.grid[2], 3);
    EXPECT_EQ(plain.q.rank, 4);
    const auto* q = static_cast<const float*>(plain.q.data);
    EXPECT_EQ(q[plain.q.strides[0] + plain.q.strides[1] + 5 * plain.q.strides[2]],
              static_cast<float>(call.q.At(1, 1, 5, 0)));
    EXPECT_EQ(plain.lse.rank, 3);
    EXPECT_EQ(plain.weights.data, nullptr);
    EXPECT_EQ(plain.bias.data, nullptr);
    EXPECT_EQ(plain.alibi_slopes, nullptr);
    EXPECT_EQ(plain.sinks, nullptr);
    EXPECT_EQ(problem.host->uses(&problem, "causal"), 1);
    EXPECT_EQ(problem.host->uses(&problem, "window"), 0);
    EXPECT_EQ(problem.host->uses(&problem, "telepathy"), -1);
  };
  ASSERT_TRUE(RunInline(*Watched(&seen), call.call).ok());
  EXPECT_EQ(seen.finished, 1);
  EXPECT_EQ(seen.destroyed, 1);
}

TEST(PluginBackend, ReadsTheMaskOfTheCallAndOfNoOther) {
  CallShape shape = SmallShape();
  shape.mask.causal = true;  // Query i of 6 sees keys up to i + 3 of 9.
  OwnedCall call(shape);
  Seen seen;
  seen.look = [](const attn_call& plain) {
    const attn_host& host = *plain.problem->host;
    int64_t begin = -1;
    int64_t end = -1;
    EXPECT_EQ(host.visible_keys(&plain, 1, 2, &begin, &end), ATTN_OK);
    EXPECT_EQ(begin, 0);
    EXPECT_EQ(end, 6);
    std::vector<uint8_t> visible(4, 9);
    EXPECT_EQ(host.mask_row(&plain, 1, 1, 2, 4, 4, visible.data()), ATTN_OK);
    EXPECT_THAT(visible, ::testing::ElementsAre(1, 1, 0, 0));
    int64_t key = 0;
    EXPECT_EQ(host.end_aligned_key(&plain, 0, 2, &key), ATTN_OK);
    EXPECT_EQ(key, 5);
    EXPECT_EQ(host.is_padding(&plain, 0, 2), 0);
    for (const auto& [b, head, q, first, count] :
         std::vector<std::array<int64_t, 5>>{{2, 0, 0, 0, 1},
                                             {-1, 0, 0, 0, 1},
                                             {0, 2, 0, 0, 1},
                                             {0, 0, 6, 0, 1},
                                             {0, 0, 0, -1, 1},
                                             {0, 0, 0, 9, 1},
                                             {0, 0, 0, 1, -1},
                                             {0, 0, 0, 1, INT64_MAX}}) {
      EXPECT_EQ(host.mask_row(&plain, b, head, q, first, count, visible.data()),
                ATTN_INVALID_ARGUMENT);
    }
    EXPECT_EQ(host.visible_keys(&plain, 0, 6, &begin, &end), ATTN_INVALID_ARGUMENT);
    EXPECT_EQ(host.is_padding(&plain, 0, 6), -1);
  };
  ASSERT_TRUE(RunInline(*Watched(&seen), call.call).ok());
}

TEST(PluginBackend, ReadsOptionsByTypeWithTheirDefaults) {
  OwnedCall call(SmallShape());
  const auto read = [](const attn_call& plain) {
    const attn_host& host = *plain.problem->host;
    int32_t flag = -1;
    int64_t count = -1;
    double ratio = -1;
    const char* mode = nullptr;
    const int32_t has_count = host.get_int(plain.options, "count", &count);
    EXPECT_EQ(host.get_bool(plain.options, "flag", &flag), 1);
    EXPECT_EQ(host.get_double(plain.options, "ratio", &ratio), 1);
    EXPECT_EQ(host.get_string(plain.options, "mode", &mode), 1);
    attn_tensor table = {};
    const int32_t has_table = host.get_tensor(&plain, "table", &table);
    EXPECT_EQ(host.get_int(plain.options, "flag", &count), -1);  // Of another type.
    EXPECT_EQ(host.get_int(plain.options, "colour", &count), -1);
    return absl::StrCat(flag, " ", has_count, " ", count, " ", ratio, " ", mode, " ", has_table,
                        " ", table.rank);
  };
  std::string text;
  Seen seen;
  seen.look = [&](const attn_call& plain) { text = read(plain); };
  const std::unique_ptr<Backend> backend = Watched(&seen);
  ASSERT_TRUE(RunInline(*backend, call.call).ok());
  EXPECT_EQ(text, "1 0 -1 0.5 plain 0 0");
  call.call.options = {{"flag", {false}},
                       {"count", {int64_t{3}}},
                       {"ratio", {int64_t{1}}},
                       {"mode", {std::string("other")}},
                       {"table", {TensorName{"t"}}}};
  call.call.extra["t"] = call.q.const_view();
  ASSERT_TRUE(RunInline(*backend, call.call).ok());
  EXPECT_EQ(text, "0 1 3 1 other 1 4");
}

TEST(PluginBackend, ChecksOptionsAsItDeclares) {
  Seen seen;
  const std::unique_ptr<Backend> backend = Watched(&seen);
  const auto check = [&](const OptionMap& options) {
    return std::string(ValidateOptions("probe", options, backend->info().options).message());
  };
  EXPECT_EQ(check({{"ratio", {1.0}}}), "");
  EXPECT_EQ(check({{"ratio", {1.5}}}),
            "probe: option 'ratio': probe: 1.5 is too much, allowed: at most 1");
  EXPECT_THAT(check({{"ratio", {int64_t{2}}}}), HasSubstr("2 is too much"));
  EXPECT_THAT(check({{"count", {0.5}}}), HasSubstr("option 'count' is of type float"));
  EXPECT_THAT(check({{"mode", {std::string("a\0b", 3)}}}), HasSubstr("a zero byte"));
  EXPECT_THAT(check({{"cuont", {int64_t{1}}}}), HasSubstr("did you mean 'count'?"));
}

TEST(PluginBackend, StatusesBecomeOursWithTheTextMadePrintable) {
  OwnedCall call(SmallShape());
  struct Row {
    attn_status status;
    absl::StatusCode code;
    std::string text;
  };
  for (const Row& row :
       std::vector<Row>{{ATTN_INVALID_ARGUMENT, absl::StatusCode::kInvalidArgument, "probe: "},
                        {ATTN_UNIMPLEMENTED, absl::StatusCode::kUnimplemented, "probe: "},
                        {ATTN_RESOURCE_EXHAUSTED, absl::StatusCode::kResourceExhausted, "probe: "},
                        {ATTN_INTERNAL, absl::StatusCode::kInternal, "failed with status 4: "},
                        {99, absl::StatusCode::kInternal, "failed with status 99: "}}) {
    for (const char* callback : {"supports", "prepare", "run_tile", "finish"}) {
      Seen seen;
      seen.failing = callback;
      seen.status = row.status;
      const absl::Status status = RunInline(*Watched(&seen), call.call).status();
      EXPECT_EQ(status.code(), row.code) << callback;
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(absl::StrCat(row.text, callback, " says no?")));
    }
  }
}

TEST(PluginBackend, ExceptionsEndTheCallAndNameThePlugin) {
  OwnedCall call(SmallShape());
  for (const char* callback : {"supports", "workspace_bytes", "prepare", "run_tile", "finish"}) {
    Seen seen;
    seen.failing = callback;
    seen.throws = true;
    const absl::Status status = RunInline(*Watched(&seen), call.call).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_EQ(std::string(status.message()),
              absl::StrCat("probe (probe.so): ", callback, " threw it went?wrong"));
  }
  Seen seen;
  seen.failing = "destroy";
  seen.throws = true;
  EXPECT_TRUE(RunInline(*Watched(&seen), call.call).ok());
  EXPECT_EQ(seen.destroyed, 1);
}

TEST(PluginBackend, DestroysWhatItPreparedAndNothingElse) {
  OwnedCall call(SmallShape());
  for (const auto& [failing, destroyed] :
       std::vector<std::pair<std::string, int>>{{"prepare", 0}, {"run_tile", 1}, {"finish", 1}}) {
    Seen seen;
    seen.failing = failing;
    EXPECT_FALSE(RunInline(*Watched(&seen), call.call).ok());
    EXPECT_EQ(seen.destroyed, destroyed) << failing;
    EXPECT_EQ(seen.finished, failing == "finish" ? 1 : 0);
  }
  Seen dropped;
  const std::unique_ptr<Backend> backend = Watched(&dropped);
  backend->Prepare(call.call).value().reset();  // Before its first tile.
  EXPECT_EQ(dropped.destroyed, 0);
}

TEST(PluginBackend, NumbersOutOfRangeAreItsOwnFault) {
  OwnedCall call(SmallShape());
  const auto run = [&](Seen seen) {
    const absl::Status status = RunInline(*Watched(&seen), call.call).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    return std::string(status.message());
  };
  Seen tiles;
  tiles.tiles = -1;
  EXPECT_THAT(run(tiles), HasSubstr("prepare gives -1 tiles"));
  Seen scratch;
  scratch.scratch_bytes = INT64_MAX;
  EXPECT_THAT(run(scratch), HasSubstr("bytes of scratch, allowed"));
  Seen workspace;
  workspace.workspace_bytes = -5;
  EXPECT_THAT(run(workspace), HasSubstr("workspace_bytes is -5"));
  Seen elements;
  elements.elements = std::nan("");
  EXPECT_THAT(run(elements), HasSubstr("finish counts nan"));
}

TEST(PluginBackend, TilesGetTheScratchTheyAskFor) {
  OwnedCall call(SmallShape());
  Seen seen;
  seen.tiles = 3;
  seen.scratch_bytes = 1 << 20;
  EXPECT_TRUE(RunInline(*Watched(&seen), call.call).ok());
}

TEST(PluginBackend, CountsAgainstDenseAttention) {
  OwnedCall call(SmallShape());
  Seen seen;
  seen.elements = 54;  // Of 2 x 2 x 6 x 9.
  const absl::StatusOr<RunResult> result = RunInline(*Watched(&seen), call.call);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->stats.dense_elements, 216);
  EXPECT_DOUBLE_EQ(result->stats.sparsity(), 0.75);
}

TEST(PluginBackend, RefusesWhatItDoesNotDeclare) {
  Seen seen;
  const std::unique_ptr<Backend> backend = Watched(&seen);
  CallShape shape = SmallShape();
  shape.mask.window = Window{1, 1};
  EXPECT_THAT(std::string(backend->Supports(OwnedCall(shape).call.problem).message()),
              HasSubstr("probe: mask window not supported, supported masks: causal"));
}

}  // namespace
}  // namespace attn
