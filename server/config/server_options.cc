#include "server/config/server_options.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/config/address_syntax.h"
#include "server/config/yaml_mapping.h"
#include "server/config/yaml_tree.h"
#include "server/policy/backend_names.h"

namespace attn {
namespace {

struct IntegerOption {
  absl::string_view key;
  std::variant<int ServerOptions::*, int64_t ServerOptions::*> member;
  int64_t min;
  int64_t max;

  int64_t Get(const ServerOptions& options) const {
    return std::visit([&](auto pointer) { return static_cast<int64_t>(options.*pointer); }, member);
  }
  void Set(ServerOptions* options, int64_t value) const {
    std::visit([&](auto pointer) { options->*pointer = value; }, member);
  }
};

constexpr IntegerOption kIntegerOptions[] = {
    // The first four are those of server/executor, which refuses what is outside.
    {"workers", &ServerOptions::workers, 0, 1024},  // Above the hardware threads of any machine.
    {"max_waiting_calls", &ServerOptions::max_waiting_calls, 0, 1'000'000},
    // A running call holds its payload, its outputs and a workspace: thousands fit no memory.
    {"max_running_calls", &ServerOptions::max_running_calls, 1, 4096},
    {"max_admitted_bytes", &ServerOptions::max_admitted_bytes, 1, int64_t{1} << 50},
    // Below 64 KiB the small fields of a call with a plan or a long option list may not fit.
    {"max_message_bytes", &ServerOptions::max_message_bytes, 64 << 10, (int64_t{1} << 31) - 1},
    {"pool_idle_bytes", &ServerOptions::pool_idle_bytes, 0, int64_t{1} << 50},
    // An hour: beyond every orchestrator's patience.
    {"drain_limit_ms", &ServerOptions::drain_limit_ms, 0, 3'600'000},
};

constexpr absl::string_view kNoMetrics = "off";

absl::Status CheckMetricsListen(absl::string_view address) {
  return address == kNoMetrics ? absl::OkStatus() : CheckMetricsAddress(address);
}

absl::Status CheckForceBackend(absl::string_view name) {
  return name.empty() ? absl::OkStatus() : ResolveBackendName(name).status();
}

// Port 0 may be asked for again and again: each is another port.
bool IsRepeated(const std::vector<std::string>& listen, size_t i) {
  const auto end = listen.begin() + static_cast<ptrdiff_t>(i);
  return !absl::EndsWith(listen[i], ":0") && std::find(listen.begin(), end, listen[i]) != end;
}

// `path` as seen from where the process runs, given as seen from the folder of `file`.
std::string RelativeTo(const std::string& file, absl::string_view path) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  return (folder / std::string(path)).lexically_normal().string();
}

void ReadListen(const std::string& file, YamlMapping* root, YamlMistakes* mistakes,
                ServerOptions* options) {
  const YamlNode* value = root->Value("listen");
  if (value == nullptr) return;
  if (value->kind != YamlNode::Kind::kSequence) {
    root->AddMistake("listen",
                     absl::StrCat("expected a list of addresses, here stands ", Describe(*value)));
    return;
  }
  if (value->items.empty()) root->AddMistake("listen", "empty, at least one address is needed");
  options->listen.clear();
  for (const auto& item : value->items) {
    if (item->kind != YamlNode::Kind::kScalar) {
      mistakes->Add(item->line,
                    absl::StrCat("listen: expected an address, here stands ", Describe(*item)));
      continue;
    }
    absl::string_view address = item->text;
    if (absl::ConsumePrefix(&address, kUnixPrefix) && !address.empty()) {
      options->listen.push_back(absl::StrCat(kUnixPrefix, RelativeTo(file, address)));
    } else {
      options->listen.push_back(item->text);
    }
    if (absl::Status status = CheckListenAddress(options->listen.back()); !status.ok()) {
      mistakes->Add(item->line, absl::StrCat("listen: ", status.message()));
    } else if (IsRepeated(options->listen, options->listen.size() - 1)) {
      mistakes->Add(item->line,
                    absl::StrCat("listen: address ", Quoted(item->text), " is listed twice"));
    }
  }
}

// Reads text that `check` accepts.
void ReadChecked(YamlMapping* root, absl::string_view key, absl::Status (*check)(absl::string_view),
                 std::string* to) {
  std::optional<std::string> text = root->Text(key);
  if (!text.has_value()) return;
  if (absl::Status status = check(*text); !status.ok()) {
    root->AddMistake(key, status.message());
    return;
  }
  *to = *std::move(text);
}

}  // namespace

absl::StatusOr<ServerOptions> LoadServerOptions(const std::string& path) {
  ATTN_ASSIGN_OR_RETURN(const std::shared_ptr<const YamlNode> tree, ReadYaml(path));
  YamlMistakes mistakes(path);
  YamlMapping root(*tree, "", &mistakes);
  ServerOptions options;
  ReadListen(path, &root, &mistakes, &options);
  ReadChecked(&root, "metrics_listen", CheckMetricsListen, &options.metrics_listen);
  if (std::optional<std::string> presets = root.Text("presets")) {
    options.presets = presets->empty() ? "" : RelativeTo(path, *presets);
  }
  ReadChecked(&root, "force_backend", CheckForceBackend, &options.force_backend);
  for (const IntegerOption& option : kIntegerOptions) {
    const std::optional<int64_t> value = root.Integer(option.key, option.min, option.max);
    if (value.has_value()) option.Set(&options, *value);
  }
  root.RefuseOtherKeys();
  ATTN_RETURN_IF_ERROR(mistakes.ToStatus());
  return options;
}

absl::Status Validate(const ServerOptions& options) {
  std::vector<std::string> mistakes;
  const auto add = [&](absl::string_view key, const absl::Status& status) {
    if (!status.ok()) mistakes.push_back(absl::StrCat(key, ": ", status.message()));
  };
  if (options.listen.empty()) mistakes.push_back("listen: empty, at least one address is needed");
  for (size_t i = 0; i < options.listen.size(); ++i) {
    add("listen", CheckListenAddress(options.listen[i]));
    if (IsRepeated(options.listen, i)) {
      mistakes.push_back(
          absl::StrCat("listen: address ", Quoted(options.listen[i]), " is listed twice"));
    }
  }
  add("metrics_listen", CheckMetricsListen(options.metrics_listen));
  add("force_backend", CheckForceBackend(options.force_backend));
  for (const IntegerOption& option : kIntegerOptions) {
    const int64_t value = option.Get(options);
    if (value < option.min || value > option.max) {
      mistakes.push_back(absl::StrCat(option.key, ": ", OutOfRange(value, option.min, option.max)));
    }
  }
  if (mistakes.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
}

}  // namespace attn
