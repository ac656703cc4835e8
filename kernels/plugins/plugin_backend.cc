#include "kernels/plugins/plugin_backend.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/saturating.h"
#include "kernels/core/status_macros.h"
#include "kernels/plugins/plugin_call.h"
#include "kernels/plugins/plugin_execution.h"
#include "kernels/plugins/plugin_options.h"
#include "kernels/plugins/plugin_table.h"

namespace attn {
namespace {

constexpr int32_t kMinCostRank = 1;
constexpr int32_t kMaxCostRank = 1'000'000;

absl::Status Invalid(const std::string& text) { return absl::InvalidArgumentError(text); }

class PluginBackend final : public Backend {
 public:
  PluginBackend(BackendInfo info, PluginOwner owner, const attn_backend& table,
                std::unique_ptr<const PluginOptions> options, PluginHandle library)
      : library_(std::move(library)),
        owner_(std::move(owner)),
        table_(table),
        options_(std::move(options)),
        info_(std::move(info)) {
    info_.options = options_->specs();
  }

  const BackendInfo& info() const override { return info_; }

  absl::Status Supports(const AttentionProblem& problem) const override {
    ATTN_RETURN_IF_ERROR(Backend::Supports(problem));
    if (table_.supports != nullptr) {
      const attn_problem plain = ToPlugin(problem);
      ATTN_RETURN_IF_ERROR(CallPlugin(owner_, "supports", [&](char* error, size_t error_size) {
        return table_.supports(table_.self, &plain, error, error_size);
      }));
    }
    return AskWorkspace(problem).status();
  }

  // With what binding an expression takes. What Supports has found wrong is never run.
  int64_t WorkspaceBytes(const AttentionProblem& problem,
                         const OptionMap& /*options*/) const override {
    const MaskExpression* expression = problem.expression.get();
    return SaturatingAdd(AskWorkspace(problem).value_or(0),
                         expression == nullptr ? 0 : expression->program_bytes());
  }

  absl::StatusOr<std::unique_ptr<Execution>> Prepare(const AttentionCall& call) const override {
    return std::make_unique<PluginExecution>(call, owner_, table_, *options_);
  }

 private:
  absl::StatusOr<int64_t> AskWorkspace(const AttentionProblem& problem) const {
    if (table_.workspace_bytes == nullptr) return 0;
    const attn_problem plain = ToPlugin(problem);
    int64_t bytes = 0;
    ATTN_RETURN_IF_ERROR(CallPlugin(owner_, "workspace_bytes", [&](char*, size_t) {
      bytes = table_.workspace_bytes(table_.self, &plain);
      return ATTN_OK;
    }));
    if (bytes >= 0) return bytes;
    return absl::InternalError(absl::StrCat(owner_.name, " (", owner_.origin,
                                            "): workspace_bytes is ", bytes,
                                            ", allowed: 0 and more"));
  }

  const PluginHandle library_;  // Unloaded after all else here.
  const PluginOwner owner_;
  const attn_backend table_;
  const std::unique_ptr<const PluginOptions> options_;
  BackendInfo info_;
};

// Features that a plug-in may have.
bool IsOffered(Feature feature) {
  switch (feature) {
    case Feature::kRotary:
    case Feature::kOriginalSeqLen:
    case Feature::kSkipScores:
    case Feature::kGate:
    case Feature::kPlan:
      return false;
    default:
      return true;
  }
}

absl::Status ReadFeatures(const attn_backend& table, Capabilities* capabilities) {
  ATTN_RETURN_IF_ERROR(CheckPluginArray("features", table.features, table.feature_count));
  for (size_t i = 0; i < table.feature_count; ++i) {
    const std::string what = absl::StrCat("features[", i, "]");
    ATTN_RETURN_IF_ERROR(CheckPluginText(what, table.features[i], 1));
    const std::optional<Feature> feature = FeatureFromName(table.features[i]);
    if (!feature || !IsOffered(*feature)) {
      std::vector<absl::string_view> offered;
      for (const Feature known : kAllFeatures) {
        if (IsOffered(known)) offered.push_back(Name(known));
      }
      return Invalid(absl::StrCat(what, " is ", Quoted(table.features[i]),
                                  feature ? ", which is the server's own work" : "",
                                  ", allowed: ", absl::StrJoin(offered, ", ")));
    }
    if (capabilities->Has(*feature)) {
      return Invalid(absl::StrCat(what, " is ", Quoted(table.features[i]), " once more"));
    }
    capabilities->features.push_back(*feature);
  }
  return absl::OkStatus();
}

absl::Status ReadDTypes(const attn_backend& table, Capabilities* capabilities) {
  ATTN_RETURN_IF_ERROR(CheckPluginArray("dtypes", table.dtypes, table.dtype_count));
  if (table.dtype_count == 0) return Invalid("dtypes is empty, allowed: 1 to 3 of them");
  std::vector<DType>& dtypes = capabilities->dtypes;
  for (size_t i = 0; i < table.dtype_count; ++i) {
    const attn_dtype dtype = table.dtypes[i];
    const bool known = dtype == ATTN_FP32 || dtype == ATTN_FP16 || dtype == ATTN_BF16;
    const auto as_dtype = static_cast<DType>(dtype);
    if (!known || std::find(dtypes.begin(), dtypes.end(), as_dtype) != dtypes.end()) {
      return Invalid(absl::StrCat("dtypes[", i, "] is ", dtype, known ? " once more" : "",
                                  ", allowed: ATTN_FP32, ATTN_FP16 and "
                                  "ATTN_BF16, each once"));
    }
    dtypes.push_back(as_dtype);
  }
  return absl::OkStatus();
}

absl::Status ReadHeadDims(const attn_backend& table, Capabilities* capabilities) {
  ATTN_RETURN_IF_ERROR(CheckPluginArray("head_dims", table.head_dims, table.head_dim_count));
  const auto check = [](absl::string_view what, int64_t dim) {
    if (dim >= 1 && dim <= kMaxHeadDim) return absl::OkStatus();
    return Invalid(absl::StrCat(what, " is ", dim, ", allowed: 1 to ", kMaxHeadDim));
  };
  for (size_t i = 0; i < table.head_dim_count; ++i) {
    ATTN_RETURN_IF_ERROR(check(absl::StrCat("head_dims[", i, "]"), table.head_dims[i]));
    capabilities->head_dims.push_back(table.head_dims[i]);
  }
  if (table.head_dim_count > 0) {
    const auto [least, most] = std::ranges::minmax(capabilities->head_dims);
    capabilities->min_head_dim = least;
    capabilities->max_head_dim = most;
    return absl::OkStatus();
  }
  ATTN_RETURN_IF_ERROR(check("min_head_dim", table.min_head_dim));
  ATTN_RETURN_IF_ERROR(check("max_head_dim", table.max_head_dim));
  if (table.min_head_dim > table.max_head_dim) {
    return Invalid(absl::StrCat("min_head_dim is ", table.min_head_dim, ", above max_head_dim, ",
                                table.max_head_dim));
  }
  capabilities->min_head_dim = table.min_head_dim;
  capabilities->max_head_dim = table.max_head_dim;
  return absl::OkStatus();
}

absl::Status CheckNumbers(const attn_backend& table) {
  if (table.exact != 0 && table.exact != 1) {
    return Invalid(absl::StrCat("exact is ", table.exact, ", allowed: 0, 1"));
  }
  if (table.cost_rank < kMinCostRank || table.cost_rank > kMaxCostRank) {
    return Invalid(absl::StrCat("cost_rank is ", table.cost_rank, ", allowed: ", kMinCostRank,
                                " to ", kMaxCostRank));
  }
  for (const auto& [name, missing] : {std::pair("prepare", table.prepare == nullptr),
                                      std::pair("run_tile", table.run_tile == nullptr),
                                      std::pair("finish", table.finish == nullptr)}) {
    if (missing) return Invalid(absl::StrCat(name, " is null"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> CreatePluginBackend(const attn_backend* table,
                                                             const std::string& origin,
                                                             PluginHandle library) {
  ATTN_ASSIGN_OR_RETURN(const attn_backend copy, CopyTable("table", table));
  ATTN_RETURN_IF_ERROR(CheckPluginName("name", copy.name));
  ATTN_RETURN_IF_ERROR(CheckPluginText("description", copy.description, 1));
  ATTN_RETURN_IF_ERROR(CheckPluginName("method", copy.method));
  ATTN_RETURN_IF_ERROR(CheckPluginName("precision", copy.precision));
  ATTN_RETURN_IF_ERROR(CheckNumbers(copy));
  BackendInfo info;
  info.name = copy.name;
  info.device = "cpu";
  info.method = copy.method;
  info.engine = "plugin";
  info.precision = copy.precision;
  info.origin = origin;
  info.description = copy.description;
  info.exact = copy.exact == 1;
  info.cost_rank = copy.cost_rank;
  ATTN_RETURN_IF_ERROR(ReadFeatures(copy, &info.capabilities));
  ATTN_RETURN_IF_ERROR(ReadDTypes(copy, &info.capabilities));
  ATTN_RETURN_IF_ERROR(ReadHeadDims(copy, &info.capabilities));
  PluginOwner owner{info.name, origin};
  ATTN_ASSIGN_OR_RETURN(std::unique_ptr<const PluginOptions> options,
                        PluginOptions::Create(owner, copy.options, copy.option_count));
  return std::make_unique<PluginBackend>(std::move(info), std::move(owner), copy,
                                         std::move(options), std::move(library));
}

}  // namespace attn
