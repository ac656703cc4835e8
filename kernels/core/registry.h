// The backends of this process, and its mask functions, by name.
#ifndef ATTN_KERNELS_CORE_REGISTRY_H_
#define ATTN_KERNELS_CORE_REGISTRY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/backend.h"
#include "kernels/core/mask_function.h"

namespace attn {

// Built once at start, then read-only and safe to share. Owns the backends.
class Registry {
 public:
  // INVALID_ARGUMENT if two share a name or one is null; likewise mask functions.
  static absl::StatusOr<Registry> Create(
      std::vector<std::unique_ptr<Backend>> backends,
      std::vector<std::unique_ptr<MaskFunction>> mask_functions = {});

  // nullptr if there is none.
  const Backend* Find(absl::string_view name) const;

  // In the automatic order: cost_rank ascending, names break ties.
  const std::vector<const Backend*>& backends() const { return ordered_; }

  // By name, ascending.
  const std::vector<const MaskFunction*>& mask_functions() const { return functions_; }

 private:
  std::vector<std::unique_ptr<Backend>> owned_;
  std::vector<const Backend*> ordered_;
  std::vector<std::unique_ptr<MaskFunction>> owned_functions_;
  std::vector<const MaskFunction*> functions_;
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_REGISTRY_H_
