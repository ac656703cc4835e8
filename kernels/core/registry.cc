#include "kernels/core/registry.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"

namespace attn {

absl::StatusOr<Registry> Registry::Create(
    std::vector<std::unique_ptr<Backend>> backends,
    std::vector<std::unique_ptr<MaskFunction>> mask_functions) {
  Registry registry;
  registry.owned_ = std::move(backends);
  for (const std::unique_ptr<Backend>& backend : registry.owned_) {
    if (backend == nullptr) return absl::InvalidArgumentError("a backend of the registry is null");
    const std::string& name = backend->info().name;
    if (registry.Find(name) != nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("two backends are named ", Quoted(name)));
    }
    registry.ordered_.push_back(backend.get());
  }
  std::sort(registry.ordered_.begin(), registry.ordered_.end(),
            [](const Backend* left, const Backend* right) {
              const BackendInfo& a = left->info();
              const BackendInfo& b = right->info();
              return std::tie(a.cost_rank, a.name) < std::tie(b.cost_rank, b.name);
            });
  registry.owned_functions_ = std::move(mask_functions);
  for (const std::unique_ptr<MaskFunction>& function : registry.owned_functions_) {
    if (function == nullptr) {
      return absl::InvalidArgumentError("a mask function of the registry is null");
    }
    registry.functions_.push_back(function.get());
  }
  std::vector<const MaskFunction*>& functions = registry.functions_;
  const auto name_of = [](const MaskFunction* function) -> const std::string& {
    return function->info().name;
  };
  std::ranges::sort(functions, {}, name_of);
  const auto twice = std::ranges::adjacent_find(functions, {}, name_of);
  if (twice != functions.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("two mask functions are named ", Quoted(name_of(*twice))));
  }
  return registry;
}

const Backend* Registry::Find(absl::string_view name) const {
  for (const Backend* backend : ordered_) {
    if (backend->info().name == name) return backend;
  }
  return nullptr;
}

}  // namespace attn
