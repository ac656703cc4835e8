// The names that transformers, diffusers, FastVideo and DiffSynth register, as they were read from
// their own code.
#include <fstream>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/policy/backend_names.h"
#include "tests/support/golden_files.h"

namespace attn {
namespace {

using Json = nlohmann::json;
using testing::ContainsRegex;

// Lists of names, and objects from enumerator to name.
const char* const kLists[] = {
    "/transformers/all_attention_functions_documented_in_seed",
    "/transformers/all_attention_functions",
    "/transformers/all_mask_attention_functions",
    "/transformers/not_registered_but_accepted",
    "/diffusers/attention_backend_name",
    "/diffusers/registered",
    "/diffusers/main/values",
    "/fastvideo/head/attention_backend_enum",
    "/fastvideo/seed_era/attention_backend_enum",
    "/fastvideo/before_removal_of_sliding_tile/attention_backend_enum",
    "/diffsynth/implementations",
    "/diffsynth/documented_in_seed",
};

std::set<std::string> NamesOf(const Json& golden) {
  std::set<std::string> names;
  for (const char* list : kLists) {
    for (const auto& item : golden.at(Json::json_pointer(list)).items()) {
      names.insert(item.value().get<std::string>());
      if (golden.at(Json::json_pointer(list)).is_object()) names.insert(item.key());
    }
  }
  const std::string prefix = golden.at("transformers").at("deprecated_prefix");
  names.insert(prefix + "flash_attention_2");
  names.insert(golden.at("diffusers").at("default"));
  return names;
}

TEST(GoldenNames, EachIsServedOrNeverServedForAReason) {
  const std::string path = GoldenFolder(ATTN_SOURCE_DIR) + "/masks/names.json";
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << "no golden file masks/names.json";
  const std::set<std::string> names = NamesOf(Json::parse(file));
  EXPECT_GT(names.size(), 60u);
  for (const std::string& name : names) {
    const absl::StatusOr<ResolvedName> resolved = ResolveBackendName(name);
    if (resolved.ok()) continue;
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kUnimplemented) << name;
    EXPECT_THAT(std::string(resolved.status().message()), ContainsRegex("never served here: .+"))
        << name;
  }
}

}  // namespace
}  // namespace attn
