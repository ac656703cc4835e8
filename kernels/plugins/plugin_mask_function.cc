#include "kernels/plugins/plugin_mask_function.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "kernels/core/status_macros.h"
#include "kernels/plugins/plugin_call.h"
#include "kernels/plugins/plugin_table.h"

namespace attn {
namespace {

// A mask function serves calls on any backend. INTERNAL would count as the fault of the backend
// that happens to run the call, and take it out of selection.
absl::Status CallFunction(const PluginOwner& owner, absl::string_view callback,
                          absl::FunctionRef<attn_status(char* error, size_t error_size)> call) {
  const absl::Status status = CallPlugin(owner, callback, call);
  return absl::IsInternal(status) ? absl::UnknownError(status.message()) : status;
}

class BoundPluginFunction final : public BoundMaskFunction {
 public:
  BoundPluginFunction(const attn_mask_function& table, PluginOwner owner, PluginHandle library,
                      std::span<const double> arguments)
      : library_(std::move(library)),
        owner_(std::move(owner)),
        table_(table),
        arguments_(arguments.begin(), arguments.end()) {}

  ~BoundPluginFunction() override {
    if (!bound_ || table_.destroy == nullptr) return;
    // Nobody is left to be told.
    CallFunction(owner_, "destroy", [this](char*, size_t) {
      table_.destroy(table_.self, state_);
      return ATTN_OK;
    }).IgnoreError();
  }

  // Once, before anything is evaluated.
  absl::Status Bind(const std::vector<attn_tensor>& tensors) {
    if (table_.bind != nullptr) {
      ATTN_RETURN_IF_ERROR(CallFunction(owner_, "bind", [&](char* error, size_t error_size) {
        return table_.bind(table_.self, arguments_.data(), arguments_.size(), tensors.data(),
                           tensors.size(), &state_, error, error_size);
      }));
    }
    bound_ = true;
    return absl::OkStatus();
  }

  const std::vector<double>& arguments() const { return arguments_; }

  void Evaluate(int64_t b, int64_t head, int64_t q, std::span<const int64_t> kv,
                uint8_t* visible) const override {
    std::fill_n(visible, kv.size(), uint8_t{0});
    const bool evaluated = Ask("evaluate", [&] {
      table_.evaluate(table_.self, state_, b, head, q, kv.data(), kv.size(), visible);
    });
    for (size_t i = 0; i < kv.size(); ++i) visible[i] = evaluated && visible[i] != 0 ? 1 : 0;
  }

  MaskExtent Extent(int64_t b, int64_t head, int64_t q_begin, int64_t q_end, int64_t kv_begin,
                    int64_t kv_end) const override {
    if (table_.extent == nullptr) return MaskExtent::kSome;
    attn_extent extent = ATTN_EXTENT_SOME;
    Ask("extent", [&] {
      extent = table_.extent(table_.self, state_, b, head, q_begin, q_end, kv_begin, kv_end);
    });
    switch (extent) {
      case ATTN_EXTENT_NONE:
        return MaskExtent::kNone;
      case ATTN_EXTENT_ALL:
        return MaskExtent::kAll;
      default:
        return MaskExtent::kSome;
    }
  }

  absl::Status status() const override {
    absl::MutexLock lock(&mutex_);
    return failure_;
  }

 private:
  // Callbacks that return no status may still throw: kept for `status`, and asked no more.
  bool Ask(absl::string_view callback, absl::FunctionRef<void()> ask) const {
    if (failed_.load(std::memory_order_relaxed)) return false;
    const absl::Status status = CallFunction(owner_, callback, [&ask](char*, size_t) {
      ask();
      return ATTN_OK;
    });
    if (status.ok()) return true;
    absl::MutexLock lock(&mutex_);
    failure_.Update(status);
    failed_.store(true, std::memory_order_relaxed);
    return false;
  }

  const PluginHandle library_;  // Unloaded after all else here.
  const PluginOwner owner_;
  const attn_mask_function table_;
  const std::vector<double> arguments_;
  void* state_ = nullptr;
  bool bound_ = false;
  mutable std::atomic<bool> failed_ = false;
  mutable absl::Mutex mutex_;
  mutable absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

class PluginMaskFunction final : public MaskFunction {
 public:
  PluginMaskFunction(MaskFunctionInfo info, const attn_mask_function& table, PluginHandle library)
      : library_(std::move(library)), table_(table), info_(std::move(info)) {}

  const MaskFunctionInfo& info() const override { return info_; }

  absl::StatusOr<std::unique_ptr<BoundMaskFunction>> Bind(
      std::span<const double> arguments, std::span<const TensorView> tensors) const override {
    std::vector<attn_tensor> plain;
    plain.reserve(tensors.size());
    for (const TensorView& tensor : tensors) plain.push_back(ToPlugin(tensor));
    ATTN_RETURN_IF_ERROR(Check(arguments, plain));
    auto bound = std::make_unique<BoundPluginFunction>(
        table_, PluginOwner{info_.name, info_.origin}, library_, arguments);
    // Tensors that have not arrived yet: only whether they fit was asked.
    const bool arrived = std::all_of(tensors.begin(), tensors.end(), [](const TensorView& tensor) {
      return !tensor.empty() || tensor.layout.element_count() == 0;
    });
    if (arrived) ATTN_RETURN_IF_ERROR(bound->Bind(plain));
    return bound;
  }

 private:
  absl::Status Check(std::span<const double> arguments,
                     const std::vector<attn_tensor>& tensors) const {
    if (table_.check == nullptr) {
      if (arguments.empty() && tensors.empty()) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(info_.name, ": ", arguments.size(),
                                                     " arguments and ", tensors.size(),
                                                     " tensors, allowed: none of either"));
    }
    const PluginOwner owner{info_.name, info_.origin};
    absl::Status status = CallFunction(owner, "check", [&](char* error, size_t error_size) {
      return table_.check(table_.self, arguments.data(), arguments.size(), tensors.data(),
                          tensors.size(), error, error_size);
    });
    if (status.ok() || absl::IsUnknown(status)) return status;
    return absl::InvalidArgumentError(status.message());
  }

  const PluginHandle library_;  // Unloaded after all else here.
  const attn_mask_function table_;
  const MaskFunctionInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MaskFunction>> CreatePluginMaskFunction(
    const attn_mask_function* table, const std::string& origin, PluginHandle library) {
  ATTN_ASSIGN_OR_RETURN(const attn_mask_function copy, CopyTable("table", table));
  ATTN_RETURN_IF_ERROR(CheckPluginName("name", copy.name));
  ATTN_RETURN_IF_ERROR(CheckPluginText("description", copy.description, 1));
  for (const auto& [member, flag] :
       {std::pair("per_head", copy.per_head), std::pair("per_sample", copy.per_sample)}) {
    if (flag == 0 || flag == 1) continue;
    return absl::InvalidArgumentError(absl::StrCat(member, " is ", flag, ", allowed: 0, 1"));
  }
  if (copy.evaluate == nullptr) return absl::InvalidArgumentError("evaluate is null");
  return std::make_unique<PluginMaskFunction>(
      MaskFunctionInfo{copy.name, origin, copy.description, copy.per_head == 1,
                       copy.per_sample == 1},
      copy, std::move(library));
}

}  // namespace attn
