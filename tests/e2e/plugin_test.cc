// A real server with plug-ins of its own: listed with their origin, chosen by every rule, refused
// with a reason.
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/server_process.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
namespace fs = std::filesystem;

using ::testing::HasSubstr;

// A folder with the example and a library of another ABI.
class PluginDirectory {
 public:
  PluginDirectory() {
    fs::copy_file(ATTN_PLUGIN_EXAMPLE, fs::path(path()) / "plugin_example.so");
    fs::copy_file(ATTN_BAD_PLUGINS "/abi.so", fs::path(path()) / "abi.so");
  }
  std::string path() const { return file_.folder(); }

 private:
  const TemporaryFile file_{"README", ""};
};

// q, k and v of one head whose values tell which keys were attended: v[key] = key.
struct CountingCall {
  static constexpr int64_t kTokens = 12;
  std::vector<float> zeros = std::vector<float>(kTokens * 8, 0.0F);
  std::vector<float> values = std::vector<float>(kTokens * 8);
  AttendArguments arguments;

  CountingCall() {
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / 8);
    Add("q", zeros);
    Add("k", zeros);
    Add("v", values);
  }

  void Add(const char* name, const std::vector<float>& data) {
    ClientTensor tensor;
    tensor.name = name;
    tensor.shape = {1, 1, kTokens, 8};
    tensor.data = std::as_bytes(std::span(data));
    arguments.tensors.push_back(std::move(tensor));
  }
};

class PluginTest : public ::testing::Test {
 protected:
  absl::StatusOr<AttendResult> Attend(const v1::AttendRequest& request,
                                      const ServerProcess& server) {
    CountingCall call;
    call.arguments.request = request;
    return server.Connect()->Attend(call.arguments, {});
  }
  // `naive_c by RULE_CALL`
  std::string Chosen(const v1::AttendRequest& request, const ServerProcess& server) {
    const absl::StatusOr<AttendResult> result = Attend(request, server);
    if (!result.ok()) return std::string(result.status().message());
    return absl::StrCat(result->selection.backend(), " by ",
                        v1::Rule_Name(result->selection.rule()));
  }
  std::string Chosen(const v1::AttendRequest& request) { return Chosen(request, server_); }

  const PluginDirectory folder_;
  const TemporaryFile presets_{"p.yaml",
                               "M:\n"
                               "  default_attention: a\n"
                               "  attention_configs:\n"
                               "    a: {type: own, backend: naive_c, options: {rows: 3}}\n"};
  ServerProcess server_{{"--plugin_dir", folder_.path(), "--presets", presets_.path()}};
  std::unique_ptr<AttentionClient> client_ = server_.Connect();
};

TEST_F(PluginTest, IsListedWithItsOrigin) {
  const absl::StatusOr<v1::ListBackendsResponse> list = client_->ListBackends();
  ASSERT_TRUE(list.ok()) << list.status();
  bool found = false;
  for (const v1::Backend& backend : list->backends()) {
    EXPECT_NE(backend.name(), "bad");
    if (backend.name() != "naive_c") {
      EXPECT_EQ(backend.origin(), backend.available() ? "builtin" : "") << backend.name();
      continue;
    }
    found = true;
    EXPECT_TRUE(backend.available());
    EXPECT_EQ(backend.origin(), "plugin_example.so");
    EXPECT_THAT(backend.description(), HasSubstr("Exact attention by its definition"));
    ASSERT_EQ(backend.options_size(), 1);
    EXPECT_EQ(backend.options(0).default_value(), "16");
    EXPECT_THAT(backend.features(), ::testing::Contains("rotary"));  // The server's own work.
  }
  EXPECT_TRUE(found);
  ASSERT_EQ(list->mask_functions_size(), 1);
  EXPECT_EQ(list->mask_functions(0).name(), "dilated");
  EXPECT_EQ(list->mask_functions(0).origin(), "plugin_example.so");
}

TEST_F(PluginTest, IsShownByTheCommandLine) {
  const ProcessOutput table = server_.Attn({"backends"});
  EXPECT_THAT(table.out, HasSubstr("plugin_example.so"));
  EXPECT_THAT(table.out, HasSubstr("dilated"));
  const ProcessOutput options = server_.Attn({"backends", "--options"});
  EXPECT_THAT(options.out, HasSubstr("Queries that one thread computes at a time."));
  const auto json = nlohmann::json::parse(server_.Attn({"backends", "--json"}).out);
  EXPECT_EQ(json["mask_functions"][0]["name"], "dilated");
  bool found = false;
  for (const auto& backend : json["backends"]) {
    if (backend["name"] != "naive_c") continue;
    found = true;
    EXPECT_EQ(backend["origin"], "plugin_example.so");
    EXPECT_EQ(backend["options"][0]["allowed"], "1 to 1024");
  }
  EXPECT_TRUE(found);
}

TEST_F(PluginTest, IsChosenByEveryRuleOfARunningServer) {
  v1::AttendRequest plain;
  EXPECT_EQ(Chosen(plain), "flash by RULE_AUTOMATIC");
  v1::AttendRequest named;
  named.set_backend("Naive_C");
  EXPECT_EQ(Chosen(named), "naive_c by RULE_CALL");
  v1::AttendRequest allowed;
  allowed.add_allowed_backends("naive_c");
  EXPECT_EQ(Chosen(allowed), "naive_c by RULE_AUTOMATIC");
  v1::AttendRequest of_model;
  of_model.set_model("M");
  EXPECT_EQ(Chosen(of_model), "naive_c by RULE_PRESET");

  v1::HoldScopeRequest hold;
  hold.set_backend("naive_c");
  const auto scope = client_->HoldScope(hold, false);
  ASSERT_TRUE(scope.ok()) << scope.status();
  v1::AttendRequest scoped;
  scoped.set_scope_id((*scope)->id());
  EXPECT_EQ(Chosen(scoped), "naive_c by RULE_SCOPE");
  ASSERT_TRUE(client_->SetForcedOverride("naive_c").ok());
  EXPECT_EQ(Chosen(plain), "naive_c by RULE_FORCED");
}

TEST_F(PluginTest, IsChosenByTheEnvironmentAndTheConfiguration) {
  const ServerProcess by_environment({"--plugin_dir", folder_.path()},
                                     {{"ATTN_BACKEND", "naive_c"}});
  EXPECT_EQ(Chosen({}, by_environment), "naive_c by RULE_ENVIRONMENT");
  const ServerProcess by_flag({"--plugin_dir", folder_.path(), "--force_backend", "naive_c"});
  EXPECT_EQ(Chosen({}, by_flag), "naive_c by RULE_FORCED");
}

TEST_F(PluginTest, OptionsOfACallReachItChecked) {
  v1::AttendRequest request;
  request.set_backend("naive_c");
  (*request.mutable_options())["rows"].set_int64_value(2000);
  const absl::Status status = Attend(request, server_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("2000 is out of range, allowed: 1 to 1024"));
}

// q.k = 0: each output is the mean of the attended keys' numbers.
TEST_F(PluginTest, MaskFunctionIsUsedByEveryBackend) {
  for (const char* backend : {"eager", "flash", "flex", "naive_c"}) {
    v1::AttendRequest request;
    request.set_backend(backend);
    v1::MaskExpression::Function* function =
        request.mutable_mask()->mutable_expression()->mutable_function();
    function->set_name("dilated");
    function->add_arguments(3);
    const absl::StatusOr<AttendResult> result = Attend(request, server_);
    ASSERT_TRUE(result.ok()) << backend << ": " << result.status();
    const ReceivedTensor* out = result->Find("out");
    ASSERT_NE(out, nullptr);
    for (int64_t q = 0; q < CountingCall::kTokens; ++q) {
      float value = 0;
      std::memcpy(&value, out->data.data() + q * 8 * 4, sizeof(value));
      const double mean = (static_cast<double>(q) + static_cast<double>(q % 3)) / 2;
      EXPECT_NEAR(value, mean, 1e-4) << backend << " query " << q;
    }
  }
}

TEST_F(PluginTest, WrongArgumentsOfAMaskFunctionAreTheCallersMistake) {
  v1::AttendRequest request;
  request.mutable_mask()->mutable_expression()->mutable_function()->set_name("dilated");
  const absl::Status status = Attend(request, server_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("allowed: one argument, the step"));
}

TEST_F(PluginTest, LogSaysWhatWasLoadedAndWhatWasRefused) {
  const std::string log = server_.Stop().err;
  EXPECT_THAT(log, HasSubstr("plug-in loaded"));
  EXPECT_THAT(log, HasSubstr("naive_c"));
  EXPECT_THAT(log, HasSubstr("plug-in refused"));
  EXPECT_THAT(log, HasSubstr("abi.so: is built for version 2 of the plug-in ABI"));
}

TEST_F(PluginTest, CheckConfigLoadsAndReports) {
  const ProcessOutput run = RunProgram(
      "attnd", {"--check_config", "--plugin_dir", folder_.path(), "--force_backend", "naive_c"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "ok\n");
  EXPECT_THAT(run.err, HasSubstr("plug-in: plugin_example.so: plugin_example 1.0; backends: "
                                 "naive_c; mask functions: dilated"));
  EXPECT_THAT(run.err, HasSubstr("warning: plug-in refused: abi.so: "));
}

TEST(PluginDirTest, FolderThatCannotBeReadStopsTheStart) {
  const ProcessOutput run = RunProgram("attnd", {"--plugin_dir", "/no/such/folder"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("--plugin_dir: '/no/such/folder' cannot be read"));
}

TEST(PluginDirTest, UnknownForcedBackendNamesWhatThereIs) {
  const PluginDirectory folder;
  const ProcessOutput run =
      RunProgram("attnd", {"--plugin_dir", folder.path(), "--force_backend", "naive_d"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("did you mean 'naive_c'?"));
}

}  // namespace
}  // namespace attn
