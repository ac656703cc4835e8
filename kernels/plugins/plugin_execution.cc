#include "kernels/plugins/plugin_execution.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

constexpr int kPreparing = 0;

// Above every real tile's needs; what is more was never set.
constexpr int64_t kMaxScratchBytes = int64_t{1} << 36;

}  // namespace

PluginExecution::~PluginExecution() {
  if (!prepared_ || backend_.destroy == nullptr) return;
  // Nobody is left to be told.
  CallPlugin(owner_, "destroy", [this](char*, size_t) {
    backend_.destroy(backend_.self, execution_.state);
    return ATTN_OK;
  }).IgnoreError();
}

Phase PluginExecution::phase(int index) {
  if (index == kPreparing) return {Stage::kPlan, 1};
  return {Stage::kKernel, execution_.tiles};
}

absl::Status PluginExecution::Prepare() {
  ATTN_ASSIGN_OR_RETURN(plugin_call_, PluginCall::Create(call_, options_));
  execution_.struct_size = sizeof(execution_);
  ATTN_RETURN_IF_ERROR(CallPlugin(owner_, "prepare", [this](char* error, size_t error_size) {
    return backend_.prepare(backend_.self, plugin_call_->plain(), &execution_, error, error_size);
  }));
  prepared_ = true;
  const bool sound = execution_.tiles >= 0 && execution_.scratch_bytes >= 0 &&
                     execution_.scratch_bytes <= kMaxScratchBytes;
  if (sound) return absl::OkStatus();
  const int64_t tiles = execution_.tiles;
  execution_.tiles = 0;
  return absl::InternalError(absl::StrCat(owner_.name, " (", owner_.origin, "): prepare gives ",
                                          tiles, " tiles of ", execution_.scratch_bytes,
                                          " bytes of scratch, allowed: 0 and more, of 0 to ",
                                          kMaxScratchBytes));
}

absl::Status PluginExecution::RunTile(int phase, int64_t tile, Scratch& scratch) {
  if (phase == kPreparing) return Prepare();
  ATTN_RETURN_IF_ERROR(scratch.Reserve(execution_.scratch_bytes));
  scratch.Reset();
  std::byte* const memory =
      execution_.scratch_bytes > 0 ? scratch.Take<std::byte>(execution_.scratch_bytes) : nullptr;
  return CallPlugin(owner_, "run_tile", [&](char* error, size_t error_size) {
    return backend_.run_tile(backend_.self, execution_.state, tile, memory, error, error_size);
  });
}

absl::StatusOr<RunResult> PluginExecution::Finish() {
  ATTN_RETURN_IF_ERROR(plugin_call_->mask_status());
  attn_result plain = {};
  plain.struct_size = sizeof(plain);
  plain.dense_elements = call_.VisibleElements(call_.problem.mask);
  ATTN_RETURN_IF_ERROR(CallPlugin(owner_, "finish", [&](char* error, size_t error_size) {
    return backend_.finish(backend_.self, execution_.state, &plain, error, error_size);
  }));
  const bool exact = backend_.exact != 0;
  RunResult result;
  result.stats.computed_elements = plain.computed_elements;
  result.stats.dense_elements = exact ? plain.computed_elements : plain.dense_elements;
  result.stats.extra_flops = plain.extra_flops;
  for (const double count : {plain.computed_elements, plain.dense_elements, plain.extra_flops}) {
    if (std::isfinite(count) && count >= 0) continue;
    return absl::InternalError(absl::StrCat(owner_.name, " (", owner_.origin, "): finish counts ",
                                            count, ", allowed: finite, 0 and more"));
  }
  return result;
}

}  // namespace attn
