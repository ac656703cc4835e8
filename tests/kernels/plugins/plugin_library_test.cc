// Loading shared libraries: what is taken, what is refused and why, and how long it stays.
#include "kernels/plugins/plugin_library.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace attn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace fs = std::filesystem;

std::string BadPlugin(const std::string& name) { return ATTN_BAD_PLUGINS "/" + name + ".so"; }

// A folder of the test's own.
class PluginFolder : public ::testing::Test {
 protected:
  PluginFolder()
      : folder_(fs::path(::testing::TempDir()) / ("plugins" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~PluginFolder() override { fs::remove_all(folder_); }

  void Put(const std::string& from, const std::string& name) {
    fs::copy_file(from, folder_ / name);
  }

  const fs::path folder_;
  std::vector<std::string> refusals_;
};

TEST(LoadPlugin, BringsBackendsAndMaskFunctionsWithTheirOrigin) {
  const auto library = LoadPlugin(ATTN_PLUGIN_EXAMPLE);
  ASSERT_TRUE(library.ok()) << library.status();
  EXPECT_EQ(library->origin, "plugin_example.so");
  EXPECT_EQ(library->name, "plugin_example");
  EXPECT_EQ(library->version, "1.0");
  ASSERT_EQ(library->backends.size(), 1u);
  EXPECT_EQ(library->backends[0]->info().name, "naive_c");
  EXPECT_EQ(library->backends[0]->info().origin, "plugin_example.so");
  ASSERT_EQ(library->mask_functions.size(), 1u);
  EXPECT_EQ(library->mask_functions[0]->info().name, "dilated");
  EXPECT_EQ(library->mask_functions[0]->info().origin, "plugin_example.so");
  EXPECT_FALSE(library->mask_functions[0]->info().per_head);
}

bool IsLoaded(const std::string& path) {
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

TEST_F(PluginFolder, LibraryStaysLoadedWhileAnyOfItLives) {
  Put(ATTN_PLUGIN_EXAMPLE, "mine.so");
  const std::string path = folder_ / "mine.so";
  auto library = LoadPlugin(path).value();
  std::unique_ptr<MaskFunction> function = std::move(library.mask_functions[0]);
  library = {};
  EXPECT_TRUE(IsLoaded(path));
  const std::vector<double> step = {2};
  std::unique_ptr<BoundMaskFunction> bound = function->Bind(step, {}).value();
  function.reset();
  EXPECT_TRUE(IsLoaded(path));
  bound.reset();
  EXPECT_FALSE(IsLoaded(path));
}

TEST(LoadPlugin, RefusalsNameTheFileAndTheReason) {
  struct Refused {
    std::string name;
    absl::StatusCode code;
    std::string reason;
  };
  constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  for (const Refused& refused : std::vector<Refused>{
           {"abi", kPrecondition,
            "is built for version 2 of the plug-in ABI, this server has version 1"},
           {"entry", kPrecondition, "exports no function attn_plugin_describe"},
           {"null", kInvalid, "attn_plugin_describe returned null"},
           {"reserved", kInvalid, "reserved is 1, allowed: 0"},
           {"name", kInvalid, "backends[0].name is 'Bad Name', allowed"},
           {"callback", kInvalid, "backends[0].run_tile is null"},
           {"twice", kInvalid, "backends[1].name is 'bad', which another one has"},
           {"empty", kInvalid, "has neither a backend nor a mask function"},
           {"throwing", absl::StatusCode::kInternal, "threw no description today"},
           {"missing", kPrecondition, "cannot be read or is no file"}}) {
    const absl::Status status = LoadPlugin(BadPlugin(refused.name)).status();
    EXPECT_EQ(status.code(), refused.code) << status;
    EXPECT_THAT(std::string(status.message()), StartsWith(refused.name + ".so: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(refused.reason));
    EXPECT_FALSE(IsLoaded(BadPlugin(refused.name)));
  }
}

TEST_F(PluginFolder, LoadsByNameAndCollectsRefusals) {
  std::ofstream(folder_ / "a.so") << "no library";
  fs::create_directory(folder_ / "b.so");
  Put(BadPlugin("abi"), "c.so");
  Put(ATTN_PLUGIN_EXAMPLE, "e.so");
  Put(BadPlugin("alias"), "d.so");  // A name that only a server knows.
  Put(ATTN_PLUGIN_EXAMPLE, "f.so.old");
  fs::create_symlink(folder_ / "nowhere", folder_ / "g.so");
  std::ofstream(folder_ / "README") << "not looked at";
  const auto libraries = LoadPlugins(folder_, &refusals_);
  ASSERT_TRUE(libraries.ok()) << libraries.status();
  ASSERT_EQ(libraries->size(), 2u);
  EXPECT_EQ((*libraries)[0].origin, "d.so");
  EXPECT_EQ((*libraries)[1].origin, "e.so");
  EXPECT_THAT(
      refusals_,
      ElementsAre(StartsWith("a.so: cannot be loaded: "), StartsWith("b.so: cannot be read"),
                  StartsWith("c.so: is built for"), StartsWith("g.so: cannot be read")));
}

TEST_F(PluginFolder, EmptyFolderHasNone) {
  const auto libraries = LoadPlugins(folder_, &refusals_);
  ASSERT_TRUE(libraries.ok());
  EXPECT_TRUE(libraries->empty());
  EXPECT_TRUE(refusals_.empty());
}

TEST_F(PluginFolder, FolderThatCannotBeReadIsAnError) {
  EXPECT_EQ(LoadPlugins(folder_ / "nowhere", &refusals_).status().code(),
            absl::StatusCode::kNotFound);
  std::ofstream(folder_ / "file") << "no folder";
  EXPECT_EQ(LoadPlugins(folder_ / "file", &refusals_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace attn
