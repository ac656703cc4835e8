#include "server/policy/backend_names.h"

#include <set>

#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

using testing::HasSubstr;
using testing::Not;

struct KnownName {
  const char* name;
  const char* canonical;  // Null = known and never served.
};

// Every name that the four projects accept: enumerators and values at each version that people run.
constexpr KnownName kTransformers[] = {
    {"flash_attention_4", "flash"},
    {"flash_attention_3", "flash"},
    {"flash_attention_2", "flash"},
    {"flex_attention", "flex"},
    {"sdpa", "flash"},
    {"eager", "eager"},
    {"paged|eager", "eager"},
    {"paged|sdpa", "flash"},
    {"paged|flash_attention_2", "flash"},
};

constexpr KnownName kDiffusers[] = {
    {"flash", "flash"},
    {"flash_hub", "flash"},
    {"flash_varlen", "flash"},
    {"flash_varlen_hub", "flash"},
    {"flash_4_hub", "flash"},
    {"_flash_3", "flash"},
    {"_flash_varlen_3", "flash"},
    {"_flash_3_hub", "flash"},
    {"_flash_3_varlen_hub", "flash"},
    {"aiter_fa2_hub", "flash"},
    {"flex", "flex"},
    {"native", "flash"},
    {"_native_cudnn", "cudnn"},
    {"_native_efficient", "flash"},
    {"_native_flash", "flash"},
    {"_native_math", "eager"},
    {"_native_npu", nullptr},
    {"_native_xla", nullptr},
    {"sage", "sage"},
    {"sage_hub", "sage"},
    {"sage_blackwell_hub", nullptr},
    {"sage_varlen", "sage"},
    {"_sage_qk_int8_pv_fp8_cuda", "sage"},
    {"_sage_qk_int8_pv_fp8_cuda_sm90", "sage"},
    {"_sage_qk_int8_pv_fp16_cuda", "sage"},
    {"_sage_qk_int8_pv_fp16_triton", "sage"},
    {"xformers", "flash"},
    // Enumerators, where they are not the value in capitals.
    {"FLASH", "flash"},
    {"_FLASH_3_VARLEN_HUB", "flash"},
    {"_NATIVE_CUDNN", "cudnn"},
    {"SAGE_BLACKWELL_HUB", nullptr},
};

constexpr KnownName kFastVideo[] = {
    {"FLASH_ATTN", "flash"},       {"TORCH_SDPA", "flash"},      {"SAGE_ATTN", "sage"},
    {"SAGE_ATTN_THREE", nullptr},  {"ATTN_QAT_INFER", nullptr},  {"ATTN_QAT_TRAIN", nullptr},
    {"SLIDING_TILE_ATTN", "sta"},  {"VIDEO_SPARSE_ATTN", "vsa"}, {"VIDEO_SPARSE_ATTN_H3", nullptr},
    {"BSA_ATTN", "bsa"},           {"VMOBA_ATTN", "vmoba"},      {"SLA_ATTN", "sla"},
    {"SAGE_SLA_ATTN", "sage_sla"}, {"NABLA_ATTN", "nabla"},      {"NO_ATTENTION", nullptr},
};

constexpr KnownName kDiffSynth[] = {
    {"flash_attention_4", "flash"}, {"flash_attention_3", "flash"}, {"flash_attention_2", "flash"},
    {"sage_attention", "sage"},     {"xformers", "flash"},          {"torch", "flash"},
    {"flex_attention", "flex"},     {"Flash Attention 3", "flash"}, {"Flash Attention 2", "flash"},
    {"Sage Attention", "sage"},     {"xFormers", "flash"},          {"PyTorch", "flash"},
};

void ExpectKnown(std::span<const KnownName> names) {
  for (const KnownName& known : names) {
    const std::string spellings[] = {known.name, absl::AsciiStrToUpper(known.name),
                                     absl::AsciiStrToLower(known.name)};
    for (const std::string& spelling : spellings) {
      SCOPED_TRACE(spelling);
      const auto resolved = ResolveBackendName(spelling);
      if (known.canonical == nullptr) {
        EXPECT_EQ(resolved.status().code(), absl::StatusCode::kUnimplemented);
        EXPECT_THAT(std::string(resolved.status().message()), HasSubstr("never served here: "));
      } else {
        ASSERT_TRUE(resolved.ok()) << resolved.status();
        EXPECT_EQ(resolved->canonical, known.canonical);
      }
    }
  }
}

TEST(BackendNames, EveryNameOfTransformersIsKnown) { ExpectKnown(kTransformers); }
TEST(BackendNames, EveryNameOfDiffusersIsKnown) { ExpectKnown(kDiffusers); }
TEST(BackendNames, EveryNameOfFastVideoIsKnown) { ExpectKnown(kFastVideo); }
TEST(BackendNames, EveryNameOfDiffSynthIsKnown) { ExpectKnown(kDiffSynth); }

TEST(BackendNames, CanonicalNamesResolveToThemselvesWithoutOptions) {
  for (const std::string& name : CanonicalBackendNames()) {
    SCOPED_TRACE(name);
    const auto resolved = ResolveBackendName(name);
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->canonical, name);
    EXPECT_TRUE(resolved->options.empty());
  }
  EXPECT_EQ(CanonicalBackendNames().size(), 14u);
}

TEST(BackendNames, AliasesResolveToTheirCanonicalNameAndStandOnce) {
  std::set<std::string> seen(CanonicalBackendNames().begin(), CanonicalBackendNames().end());
  for (const std::string& canonical : CanonicalBackendNames()) {
    for (const std::string& alias : AliasesOf(canonical)) {
      SCOPED_TRACE(alias);
      EXPECT_TRUE(seen.insert(absl::AsciiStrToLower(alias)).second) << "stands twice";
      EXPECT_EQ(ResolveBackendName(alias).value().canonical, canonical);
    }
  }
  EXPECT_TRUE(AliasesOf("no such backend").empty());
}

TEST(BackendNames, AutoMeansRuleSix) {
  EXPECT_EQ(ResolveBackendName("auto").value().canonical, kAutoBackend);
  EXPECT_EQ(ResolveBackendName("AUTO").value().canonical, kAutoBackend);
}

TEST(BackendNames, PagedPrefixIsReadAsTheNameBehindIt) {
  EXPECT_EQ(ResolveBackendName("paged|VMOBA_ATTN").value().canonical, "vmoba");
  EXPECT_EQ(ResolveBackendName("PAGED|flex").value().canonical, "flex");
  for (const char* unknown : {"paged|", "paged|nothing_like_it", "paged|auto", "paged"}) {
    EXPECT_EQ(ResolveBackendName(unknown).status().code(), absl::StatusCode::kInvalidArgument)
        << unknown;
  }
  EXPECT_EQ(ResolveBackendName("paged|NO_ATTENTION").status().code(),
            absl::StatusCode::kUnimplemented);
}

TEST(BackendNames, SageKernelNamesFixTheirArithmetic) {
  const auto text = [](const ResolvedName& name, const char* key) {
    return std::get<std::string>(name.options.at(key).value);
  };
  const auto number = [](const ResolvedName& name, const char* key) {
    const auto& value = name.options.at(key).value;
    const auto* integer = std::get_if<int64_t>(&value);
    return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(value);
  };
  const ResolvedName triton = ResolveBackendName("_sage_qk_int8_pv_fp16_triton").value();
  EXPECT_EQ(text(triton, "qk_granularity"), "per_block");
  EXPECT_EQ(text(triton, "pv"), "fp16");
  EXPECT_EQ(triton.options.count("pv_accum_dtype"), 0u) << "absent = the Triton arithmetic";

  const ResolvedName fp16 = ResolveBackendName("_sage_qk_int8_pv_fp16_cuda").value();
  EXPECT_EQ(text(fp16, "qk_granularity"), "per_thread");
  EXPECT_EQ(text(fp16, "pv"), "fp16");
  EXPECT_EQ(text(fp16, "pv_accum_dtype"), "fp32");

  const ResolvedName fp8 = ResolveBackendName("_sage_qk_int8_pv_fp8_cuda").value();
  EXPECT_EQ(text(fp8, "pv"), "fp8");
  EXPECT_EQ(text(fp8, "pv_accum_dtype"), "fp32+fp16");
  EXPECT_EQ(number(fp8, "v_max"), 2.25);
  EXPECT_EQ(number(fp8, "block_q"), 128);

  const ResolvedName sm90 = ResolveBackendName("_sage_qk_int8_pv_fp8_cuda_sm90").value();
  EXPECT_EQ(text(sm90, "pv_accum_dtype"), "fp32+fp32");
  EXPECT_EQ(number(sm90, "v_max"), 448);
  EXPECT_EQ(number(sm90, "block_q"), 64);
  EXPECT_EQ(number(sm90, "block_k"), 128);
  EXPECT_EQ(number(sm90, "warp_q"), 16);

  EXPECT_TRUE(ResolveBackendName("SAGE_ATTN").value().options.empty());
}

TEST(BackendNames, UnknownNameIsAnsweredWithTheListAndTheNearestOfAllNames) {
  const auto near = ResolveBackendName("flash_attention_22");
  EXPECT_EQ(near.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string message(near.status().message());
  EXPECT_THAT(message, HasSubstr("unknown backend 'flash_attention_22'; did you mean "
                                 "'flash_attention_2'? known: auto, eager, flash, cudnn, sage, "));
  for (const std::string& name : CanonicalBackendNames()) EXPECT_THAT(message, HasSubstr(name));

  const auto far = ResolveBackendName("something else entirely");
  EXPECT_THAT(std::string(far.status().message()), Not(HasSubstr("did you mean")));
  EXPECT_THAT(std::string(far.status().message()), HasSubstr("known: auto, eager"));
  EXPECT_EQ(ResolveBackendName("").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BackendNames, UnknownNameIsNeverEchoedRaw) {
  const auto resolved = ResolveBackendName("evil\n\x01" + std::string(100'000, 'x'));
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_LT(resolved.status().message().size(), 1000u);
  EXPECT_THAT(std::string(resolved.status().message()), Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace attn
