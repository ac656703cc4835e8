#include "server/app/config_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/builtin_backends.h"
#include "tests/server/config/temporary_file.h"

namespace attn {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// All mistakes of a start.
std::vector<std::string> Mistakes(const ConfigSources& sources,
                                  const std::string& environment_backend = "") {
  const Registry registry = CreateBuiltinRegistry().value();
  std::vector<std::string> mistakes;
  ServerConfig config = ReadServerConfig(sources, &mistakes);
  ReadConfigFiles(environment_backend, registry, &config, &mistakes);
  return mistakes;
}

TEST(ReadConfigFilesTest, MistakesOfKeysAndOfFilesAreReportedTogetherWithTheirOrigins) {
  const TemporaryFile presets("p.yaml", "M:\n  default_attention: x\n");
  const TemporaryFile file(
      "server.yaml",
      "wrokers: 3\npresets: " + presets.path() +
          "\nadmin_token_file: /no/token\ntls_certificate: /no/c.pem\nforce_backend: psa\n");
  const std::vector<std::string> mistakes =
      Mistakes({file.path(),
                {{"ATTN_TLS_KEY", "/no/k.pem"}},
                {{"tls_client_ca", "/no/ca.pem"}, {"workers", "many"}}},
               "flsh");
  const std::string at = file.path() + ":";
  for (const std::string& beginning :
       {at + "1: unknown key 'wrokers'", std::string("--workers: expected an integer"),
        presets.path() + ":2: M.attention_configs: is missing",
        at + "3: admin_token_file: '/no/token' cannot be read",
        at + "4: tls_certificate: '/no/c.pem' cannot be read",
        std::string("ATTN_TLS_KEY: '/no/k.pem' cannot be read"),
        std::string("--tls_client_ca: '/no/ca.pem' cannot be read"),
        std::string("ATTN_BACKEND: ")}) {
    EXPECT_THAT(mistakes, Contains(StartsWith(beginning)));
  }
  EXPECT_THAT(mistakes, Contains(StartsWith(at + "5: force_backend: 'psa'")));
  EXPECT_EQ(mistakes.size(), 9u) << testing::PrintToString(mistakes);
}

// The file that a wrong key would have named is not looked for, nor the one it hides.
TEST(ReadConfigFilesTest, FilesOfKeysWithAMistakeAreLeftOut) {
  const TemporaryFile file("server.yaml", "presets: /no/presets.yaml\n");
  EXPECT_THAT(Mistakes({file.path(), {}, {{"presets", std::string("a\0b", 3)}}}),
              testing::ElementsAre(StartsWith("--presets: a zero byte")));
}

TEST(ReadConfigFilesTest, HalfATlsPairIsOneMistakeBesideThoseOfItsFile) {
  EXPECT_THAT(Mistakes({"", {}, {{"tls_certificate", "/no/c.pem"}}}),
              testing::ElementsAre(HasSubstr("a certificate needs its key"),
                                   StartsWith("--tls_certificate: '/no/c.pem' cannot be read")));
}

TEST(ReadSelectionTest, DelayWithoutABackendThatBatchesIsAWarning) {
  const Registry registry = CreateBuiltinRegistry().value();
  const bool batches = std::any_of(registry.backends().begin(), registry.backends().end(),
                                   [](const Backend* one) { return one->launches_batches(); });
  for (const char* delay : {"0", "100"}) {
    std::vector<std::string> mistakes;
    ServerConfig config = ReadServerConfig({"", {}, {{"batch_delay_us", delay}}}, &mistakes);
    ReadSelection(registry, &config, &mistakes);
    EXPECT_THAT(mistakes, IsEmpty());
    const bool warned = !config.warnings.empty();
    EXPECT_EQ(warned, !batches && delay != std::string("0"));
    if (warned) {
      EXPECT_THAT(config.warnings[0], StartsWith("--batch_delay_us: no backend"));
    }
  }
}

}  // namespace
}  // namespace attn
