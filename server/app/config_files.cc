#include "server/app/config_files.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/app/machine_memory.h"
#include "server/config/preset_file.h"
#include "server/policy/preset_check.h"
#include "server/policy/selection.h"
#include "server/services/tls_files.h"
#include "server/transport/token_file.h"

namespace attn {
namespace {

// Each line of `status`, where it begins with a key with the origin of that key.
void AddLines(const absl::Status& status, const ServerConfig& config,
              std::vector<std::string>* mistakes) {
  if (status.ok()) return;
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    mistakes->push_back(config.WithOrigin(line));
  }
}

// A choice for the whole process that could never serve.
absl::Status CheckChoice(absl::string_view source, const std::string& backend,
                         const Registry& registry) {
  if (backend.empty()) return absl::OkStatus();
  absl::Status status = CheckInBuild(backend, registry);
  if (status.ok()) return status;
  const std::string known = absl::StrJoin(
      registry.backends(), ", ",
      [](std::string* out, const Backend* one) { absl::StrAppend(out, one->info().name); });
  return absl::Status(status.code(), absl::StrCat(source, ": ", status.message(),
                                                  "; this build has: ", known, ", auto"));
}

PresetTable ReadPresets(const Registry& registry, const ServerConfig& config,
                        std::vector<std::string>* mistakes) {
  const std::string& file = config.options.presets;
  if (file.empty()) return {};
  absl::StatusOr<PresetTable> read = LoadPresetFile(file, registry);
  if (absl::IsNotFound(read.status())) {
    mistakes->push_back(config.WithOrigin(
        absl::StrCat("presets: ", read.status().message(),
                     "; name a file that this process may read, or \"\" for none")));
    return {};
  }
  if (!read.ok()) {
    // Every line has its own FILE:LINE.
    for (const absl::string_view line : absl::StrSplit(read.status().message(), '\n')) {
      mistakes->emplace_back(line);
    }
    return {};
  }
  if (const absl::Status status = CheckPresets(*read, registry); !status.ok()) {
    for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
      mistakes->push_back(absl::StrCat(file, ": ", line));
    }
  }
  return *std::move(read);
}

}  // namespace

std::shared_ptr<const PresetTable> ReadSelection(const Registry& registry, ServerConfig* config,
                                                 std::vector<std::string>* mistakes) {
  auto presets = std::make_shared<const PresetTable>(ReadPresets(registry, *config, mistakes));
  AddLines(CheckChoice("force_backend", config->options.force_backend, registry), *config,
           mistakes);
  const bool waits = std::any_of(registry.backends().begin(), registry.backends().end(),
                                 [](const Backend* one) { return one->launches_batches(); });
  if (config->options.batch_delay_us > 0 && !waits) {
    config->warnings.push_back(config->WithOrigin(
        "batch_delay_us: no backend of this build launches batches, so that no call waits for "
        "company"));
  }
  return presets;
}

ConfigFiles ReadConfigFiles(const std::string& environment_backend, const Registry& registry,
                            ServerConfig* config, std::vector<std::string>* mistakes) {
  const ServerOptions& options = config->options;
  ConfigFiles files;
  files.presets = ReadSelection(registry, config, mistakes);
  AddLines(CheckChoice("ATTN_BACKEND", environment_backend, registry), *config, mistakes);
  if (!options.admin_token_file.empty()) {
    absl::StatusOr<std::string> token = ReadTokenFile("admin_token_file", options.admin_token_file);
    AddLines(token.status(), *config, mistakes);
    if (token.ok()) files.admin_token = *std::move(token);
  }
  // That one of them needs another is a mistake of the options, which was found with them.
  AddLines(CheckTlsFiles({options.tls_certificate, options.tls_key, options.tls_client_ca}),
           *config, mistakes);
  std::string memory = MemoryWarning(options, MachineMemory());
  if (!memory.empty()) config->warnings.push_back(std::move(memory));
  return files;
}

}  // namespace attn
