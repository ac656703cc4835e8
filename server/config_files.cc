#include "server/config_files.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "server/config/preset_file.h"
#include "server/config/token_file.h"
#include "server/policy/preset_check.h"
#include "server/policy/selection.h"
#include "server/services/tls_files.h"

namespace attn {
namespace {

// Collects mistakes, one or more lines each.
class Mistakes {
 public:
  void Add(const absl::Status& status) {
    if (!status.ok()) lines_.emplace_back(status.message());
  }
  absl::Status ToStatus() const {
    if (lines_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(lines_, "\n"));
  }

 private:
  std::vector<std::string> lines_;
};

constexpr absl::string_view kReadable =
    "; name a file that this process may read, or \"\" for none";

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

absl::Status WithKey(absl::string_view key, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(key, ": ", status.message(),
                                                  absl::IsNotFound(status) ? kReadable : ""));
}

// Each line of the error begins with the file.
absl::Status InFile(const std::string& file, const absl::Status& status) {
  if (status.ok()) return status;
  const std::string prefix = absl::StrCat(file, ": ");
  return absl::Status(
      status.code(),
      absl::StrCat(prefix,
                   absl::StrReplaceAll(status.message(), {{"\n", absl::StrCat("\n", prefix)}})));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const PresetTable>> ReadSelection(const ServerOptions& options,
                                                                 const Registry& registry) {
  Mistakes mistakes;
  auto presets = std::make_shared<PresetTable>();
  if (!options.presets.empty()) {
    absl::StatusOr<PresetTable> read = LoadPresetFile(options.presets);
    if (read.ok()) {
      *presets = *std::move(read);
      mistakes.Add(InFile(options.presets, CheckPresets(*presets, registry)));
    } else {
      mistakes.Add(absl::IsNotFound(read.status()) ? WithKey("presets", read.status())
                                                   : read.status());
    }
  }
  mistakes.Add(CheckChoice("force_backend", options.force_backend, registry));
  if (absl::Status status = mistakes.ToStatus(); !status.ok()) return status;
  return presets;
}

absl::StatusOr<ConfigFiles> ReadConfigFiles(const ServerOptions& options,
                                            const std::string& environment_backend,
                                            const Registry& registry) {
  Mistakes mistakes;
  ConfigFiles files;
  absl::StatusOr<std::shared_ptr<const PresetTable>> presets = ReadSelection(options, registry);
  if (presets.ok()) {
    files.presets = *std::move(presets);
  } else {
    mistakes.Add(presets.status());
  }
  mistakes.Add(CheckChoice("ATTN_BACKEND", environment_backend, registry));
  if (!options.admin_token_file.empty()) {
    absl::StatusOr<std::string> token = ReadTokenFile(options.admin_token_file);
    if (token.ok()) {
      files.admin_token = *std::move(token);
    } else {
      mistakes.Add(WithKey("admin_token_file", token.status()));
    }
  }
  mistakes.Add(CheckTlsFiles({options.tls_certificate, options.tls_key, options.tls_client_ca}));
  if (absl::Status status = mistakes.ToStatus(); !status.ok()) return status;
  return files;
}

}  // namespace attn
