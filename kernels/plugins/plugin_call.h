// A call as a plug-in sees it, and what the server does for the plug-in while it runs.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_CALL_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/bound_modifiers.h"
#include "kernels/core/mask_program.h"
#include "kernels/plugins/attn_plugin.h"
#include "kernels/plugins/plugin_options.h"

// attn_plugin.h declares it and says nothing of it.
struct attn_options {
  const attn::PluginOptions* declared;
  const attn::OptionMap* given;
};

namespace attn {

attn_tensor ToPlugin(const TensorView& view);

// Borrows the problem.
attn_problem ToPlugin(const AttentionProblem& problem);

// Pinned: the plug-in holds its address. Borrows call and options; read by all threads.
class PluginCall {
 public:
  // Of a call whose tensors have arrived. The error is MaskProgram::Bind's.
  static absl::StatusOr<std::unique_ptr<const PluginCall>> Create(const AttentionCall& call,
                                                                  const PluginOptions& options);
  PluginCall(const PluginCall&) = delete;
  PluginCall& operator=(const PluginCall&) = delete;

  const attn_call* plain() const { return &plain_; }

  const AttentionCall& call() const { return call_; }
  bool HasQuery(int64_t b, int64_t q) const;

  // The mask's (MaskProgram::status).
  absl::Status mask_status() const { return program_ ? program_->status() : absl::OkStatus(); }

  // Of a sample, head, query and keys that the call has: visible[0 .. key_count) becomes 0 or 1.
  void MaskRow(int64_t b, int64_t head, int64_t q, int64_t key_begin, int64_t key_count,
               uint8_t* visible) const;

 private:
  PluginCall(const AttentionCall& call, const PluginOptions& options,
             std::optional<MaskProgram> program);

  const AttentionCall& call_;
  const std::optional<MaskProgram> program_;
  const BoundModifiers modifiers_;
  const attn_problem problem_;
  const attn_options options_;
  std::vector<float> slopes_;  // [B, H]
  std::vector<float> sinks_;   // [H]
  std::vector<uint8_t> idle_;  // [B] or empty
  attn_call plain_ = {};
};

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_CALL_H_
