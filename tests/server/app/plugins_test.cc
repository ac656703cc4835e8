#include "server/app/plugins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

namespace fs = std::filesystem;

class PluginsTest : public testing::Test {
 protected:
  void Put(const std::string& from, const std::string& name) {
    fs::copy_file(from, fs::path(file_.folder()) / name);
  }
  Plugins Read(const std::string& folder) {
    const ServerConfig config = ReadServerConfig({"", {}, {{"plugin_dir", folder}}}, &mistakes_);
    return ReadPlugins(config, &mistakes_);
  }

  const TemporaryFile file_{"README", ""};
  std::vector<std::string> mistakes_;
};

TEST_F(PluginsTest, WithoutAFolderThereAreNone) {
  const Plugins plugins = Read("");
  EXPECT_THAT(mistakes_, IsEmpty());
  EXPECT_THAT(plugins.refusals, IsEmpty());
  EXPECT_TRUE(plugins.backends.empty());
}

TEST_F(PluginsTest, FolderThatCannotBeReadIsAMistakeWithItsOrigin) {
  Read("/no/such/folder");
  EXPECT_THAT(mistakes_, ElementsAre(StartsWith("--plugin_dir: '/no/such/folder' cannot be read")));
}

TEST_F(PluginsTest, BringsAndDescribesWhatEveryLibraryHas) {
  Put(ATTN_PLUGIN_EXAMPLE, "a.so");
  const Plugins plugins = Read(file_.folder());
  EXPECT_THAT(mistakes_, IsEmpty());
  ASSERT_EQ(plugins.libraries.size(), 1u);
  EXPECT_EQ(plugins.libraries[0].file, "a.so");
  EXPECT_EQ(plugins.libraries[0].name, "plugin_example");
  EXPECT_EQ(plugins.libraries[0].version, "1.0");
  EXPECT_EQ(plugins.libraries[0].backends, "naive_c");
  EXPECT_EQ(plugins.libraries[0].mask_functions, "dilated");
  EXPECT_EQ(plugins.backends.size(), 1u);
  EXPECT_EQ(plugins.mask_functions.size(), 1u);
}

TEST_F(PluginsTest, NamesThatAreTakenRefuseTheWholeLibrary) {
  Put(ATTN_PLUGIN_EXAMPLE, "a.so");
  Put(ATTN_PLUGIN_EXAMPLE, "b.so");
  Put(ATTN_BAD_PLUGINS "/alias.so", "c.so");
  const Plugins plugins = Read(file_.folder());
  EXPECT_THAT(mistakes_, IsEmpty());
  EXPECT_EQ(plugins.libraries.size(), 1u);
  EXPECT_EQ(plugins.mask_functions.size(), 1u);
  EXPECT_THAT(plugins.refusals,
              ElementsAre("b.so: backend 'naive_c' has the name of one of a.so",
                          "c.so: backend 'sdpa' has a name that stands for 'flash' here"));
}

}  // namespace
}  // namespace attn
