#include "server/policy/backend_names.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"

namespace attn {
namespace {

// transformers reads `paged|X` as X, with its keys in a paged cache.
constexpr absl::string_view kPagedPrefix = "paged|";

// What diffusers' four named SageAttention kernels compute (SageAttention 2.2 defaults). The
// Triton kernel is the one without pv_accum_dtype.
OptionMap SageFp16Triton() {
  return {{"qk_granularity", {std::string("per_block")}},
          {"pv", {std::string("fp16")}},
          {"block_q", {int64_t{128}}},
          {"block_k", {int64_t{64}}}};
}

OptionMap SageCuda(std::string pv, std::string pv_accum_dtype) {
  return {{"qk_granularity", {std::string("per_thread")}},
          {"pv", {std::move(pv)}},
          {"pv_accum_dtype", {std::move(pv_accum_dtype)}},
          {"block_q", {int64_t{128}}},
          {"block_k", {int64_t{64}}},
          {"warp_q", {int64_t{32}}}};
}

OptionMap SageFp16Cuda() { return SageCuda("fp16", "fp32"); }

// V is scaled to 2.25 so that the kernel's fp16 partial sums cannot overflow.
OptionMap SageFp8Cuda() {
  OptionMap options = SageCuda("fp8", "fp32+fp16");
  options["v_max"] = {2.25};
  return options;
}

// Hopper accumulates in fp32, so V uses E4M3's whole range; its tiles are 64 x 128.
OptionMap SageFp8CudaSm90() {
  OptionMap options = SageCuda("fp8", "fp32+fp32");
  options["v_max"] = {448.0};
  options["block_q"] = {int64_t{64}};
  options["block_k"] = {int64_t{128}};
  options["warp_q"] = {int64_t{16}};
  return options;
}

struct Alias {
  absl::string_view name;
  absl::string_view canonical;
  OptionMap (*options)() = nullptr;  // Null = fixes none.
};

// FastVideo's names in capitals, DiffSynth's with spaces as its documentation writes them.
constexpr Alias kAliases[] = {
    {"_native_math", "eager"},
    {"paged|eager", "eager"},
    {"FLASH_ATTN", "flash"},
    {"TORCH_SDPA", "flash"},
    {"sdpa", "flash"},
    {"torch", "flash"},
    {"PyTorch", "flash"},
    {"native", "flash"},
    {"_native_efficient", "flash"},
    {"_native_flash", "flash"},
    {"xformers", "flash"},
    {"flash_attention", "flash"},
    {"flash_attention_2", "flash"},
    {"flash_attention_3", "flash"},
    {"flash_attention_4", "flash"},
    {"Flash Attention 2", "flash"},
    {"Flash Attention 3", "flash"},
    {"Flash Attention 4", "flash"},
    {"flash_hub", "flash"},
    {"flash_varlen", "flash"},
    {"flash_varlen_hub", "flash"},
    {"flash_4_hub", "flash"},
    {"_flash_3", "flash"},
    {"_flash_varlen_3", "flash"},
    {"_flash_3_hub", "flash"},
    {"_flash_3_varlen_hub", "flash"},
    {"aiter_fa2_hub", "flash"},
    {"_native_cudnn", "cudnn"},
    {"SAGE_ATTN", "sage"},
    {"sage_attention", "sage"},
    {"Sage Attention", "sage"},
    {"sage_hub", "sage"},
    {"sage_varlen", "sage"},
    {"_sage_qk_int8_pv_fp16_triton", "sage", SageFp16Triton},
    {"_sage_qk_int8_pv_fp16_cuda", "sage", SageFp16Cuda},
    {"_sage_qk_int8_pv_fp8_cuda", "sage", SageFp8Cuda},
    {"_sage_qk_int8_pv_fp8_cuda_sm90", "sage", SageFp8CudaSm90},
    {"SLIDING_TILE_ATTN", "sta"},
    {"VIDEO_SPARSE_ATTN", "vsa"},
    {"VMOBA_ATTN", "vmoba"},
    {"SLA_ATTN", "sla"},
    {"SAGE_SLA_ATTN", "sage_sla"},
    {"BSA_ATTN", "bsa"},
    {"NABLA_ATTN", "nabla"},
    {"flex_attention", "flex"},
};

struct NeverServed {
  absl::string_view name;
  absl::string_view reason;
};

constexpr NeverServed kNeverServed[] = {
    {"NO_ATTENTION", "it marks layers without attention, so there is nothing to compute"},
    {"ATTN_QAT_INFER", "it emulates the FP4 arithmetic of quantisation-aware training"},
    {"ATTN_QAT_TRAIN", "it is for training, and this service has no backward pass"},
    {"SAGE_ATTN_THREE", "FP4 attention needs a Blackwell GPU, for which there are no kernels here"},
    {"sage_blackwell_hub",
     "FP4 attention needs a Blackwell GPU, for which there are no kernels here"},
    {"_native_npu", "it is for Ascend NPUs; this service runs on CPUs and NVIDIA GPUs"},
    {"_native_xla", "it is for XLA devices; this service runs on CPUs and NVIDIA GPUs"},
    // Read as vsa it would answer, but with another result: vsa takes a missing gate as 1.
    {"VIDEO_SPARSE_ATTN_H3",
     "it routes MiniMax-H3's packed text, audio and video tokens by rules of its own and takes a "
     "missing gate as 0, so 'vsa' would give other results"},
};

std::optional<ResolvedName> FindName(absl::string_view name, std::span<const std::string> own) {
  for (const std::string& canonical : CanonicalBackendNames()) {
    if (absl::EqualsIgnoreCase(name, canonical)) return ResolvedName{canonical, {}};
  }
  for (const Alias& alias : kAliases) {
    if (!absl::EqualsIgnoreCase(name, alias.name)) continue;
    return ResolvedName{std::string(alias.canonical),
                        alias.options != nullptr ? alias.options() : OptionMap()};
  }
  for (const std::string& canonical : own) {
    if (absl::EqualsIgnoreCase(name, canonical)) return ResolvedName{canonical, {}};
  }
  return std::nullopt;
}

std::string UnknownBackendMessage(absl::string_view name, std::span<const std::string> own) {
  std::vector<std::string> known = {std::string(kAutoBackend)};
  known.insert(known.end(), CanonicalBackendNames().begin(), CanonicalBackendNames().end());
  known.insert(known.end(), own.begin(), own.end());
  std::vector<std::string> candidates = known;
  for (const Alias& alias : kAliases) candidates.emplace_back(alias.name);
  const std::string nearest = NearestName(name, candidates);
  return absl::StrCat("unknown backend ", Quoted(name), "; ",
                      nearest.empty() ? "" : absl::StrCat("did you mean '", nearest, "'? "),
                      "known: ", absl::StrJoin(known, ", "),
                      " and their names in FastVideo, diffusers, DiffSynth and transformers");
}

}  // namespace

absl::StatusOr<ResolvedName> ResolveBackendName(absl::string_view name,
                                                std::span<const std::string> own) {
  if (absl::EqualsIgnoreCase(name, kAutoBackend))
    return ResolvedName{std::string(kAutoBackend), {}};
  absl::string_view bare = name;
  if (absl::StartsWithIgnoreCase(name, kPagedPrefix)) bare.remove_prefix(kPagedPrefix.size());
  if (std::optional<ResolvedName> found = FindName(bare, own)) return *std::move(found);
  for (const NeverServed& never : kNeverServed) {
    if (!absl::EqualsIgnoreCase(bare, never.name)) continue;
    return absl::UnimplementedError(
        absl::StrCat("'", never.name, "' is known but never served here: ", never.reason));
  }
  return absl::InvalidArgumentError(UnknownBackendMessage(name, own));
}

std::vector<std::string> OwnBackendNames(const Registry& registry) {
  const std::span<const std::string> ours = CanonicalBackendNames();
  std::vector<std::string> names;
  for (const Backend* backend : registry.backends()) {
    const std::string& name = backend->info().name;
    if (std::find(ours.begin(), ours.end(), name) == ours.end()) names.push_back(name);
  }
  return names;
}

std::span<const std::string> CanonicalBackendNames() {
  static const auto& names = *new std::vector<std::string>{
      "eager", "flash",    "cudnn",  "sage", "sta", "vsa",   "vmoba",
      "sla",   "sage_sla", "sparge", "psa",  "bsa", "nabla", "flex",
  };
  return names;
}

std::vector<std::string> AliasesOf(absl::string_view canonical) {
  std::vector<std::string> aliases;
  for (const Alias& alias : kAliases) {
    if (alias.canonical == canonical) aliases.emplace_back(alias.name);
  }
  return aliases;
}

}  // namespace attn
