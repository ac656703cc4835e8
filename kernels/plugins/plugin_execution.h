// One call on a plug-in's backend.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_EXECUTION_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_EXECUTION_H_

#include <cstdint>
#include <memory>

#include "kernels/core/attention_call.h"
#include "kernels/core/backend.h"
#include "kernels/plugins/attn_plugin.h"
#include "kernels/plugins/plugin_call.h"
#include "kernels/plugins/plugin_edge.h"
#include "kernels/plugins/plugin_options.h"

namespace attn {

// Phases: one tile in which the mask is bound and the plug-in prepares, the plug-in's tiles.
// Borrows the call and what belongs to the backend.
class PluginExecution final : public Execution {
 public:
  PluginExecution(const AttentionCall& call, const PluginOwner& owner, const attn_backend& backend,
                  const PluginOptions& options)
      : call_(call), owner_(owner), backend_(backend), options_(options) {}
  ~PluginExecution() override;

  int phase_count() const override { return 2; }
  Phase phase(int index) override;
  absl::Status RunTile(int phase, int64_t tile, Scratch& scratch) override;
  absl::StatusOr<RunResult> Finish() override;

 private:
  absl::Status Prepare();

  const AttentionCall& call_;
  const PluginOwner& owner_;
  const attn_backend& backend_;
  const PluginOptions& options_;
  std::unique_ptr<const PluginCall> plugin_call_;
  attn_execution execution_ = {};
  bool prepared_ = false;
};

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_EXECUTION_H_
