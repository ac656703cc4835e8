#include "kernels/core/registry.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"

namespace attn {

absl::StatusOr<Registry> Registry::Create(std::vector<std::unique_ptr<Backend>> backends) {
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
  return registry;
}

const Backend* Registry::Find(absl::string_view name) const {
  for (const Backend* backend : ordered_) {
    if (backend->info().name == name) return backend;
  }
  return nullptr;
}

}  // namespace attn
