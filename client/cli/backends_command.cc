#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/report.h"
#include "client/cli/response_json.h"
#include "client/cli/table.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

using attention::v1::Backend;

std::string BackendState(const Backend& backend) {
  if (!backend.available()) return absl::StrCat("unavailable: ", backend.unavailable_reason());
  if (backend.quarantined()) return absl::StrCat("quarantined: ", backend.quarantine_reason());
  return "available";
}

std::string HeadDims(const Backend& backend) {
  if (!backend.available()) return "";
  if (backend.head_dims_size() > 0) return absl::StrJoin(backend.head_dims(), ",");
  return absl::StrCat(backend.min_head_dim(), "-", backend.max_head_dim());
}

std::string DTypes(const Json& backend) {
  return absl::StrJoin(backend["dtypes"].get<std::vector<std::string>>(), ",");
}

void PrintBackends(const std::vector<Backend>& backends) {
  Table table({"backend", "exact", "device", "method", "engine", "precision", "variant",
               "head sizes", "dtypes", "state"});
  for (const Backend& backend : backends) {
    table.AddRow({backend.name(),
                  !backend.available() ? ""
                  : backend.exact()    ? "yes"
                                       : "no",
                  backend.device(), backend.method(), backend.engine(), backend.precision(),
                  backend.variant(), HeadDims(backend), DTypes(ToJson(backend)),
                  BackendState(backend)});
  }
  std::cout << table.Text() << "\n`attn backends NAME` shows one with its options." << std::endl;
}

void PrintBackend(const Backend& backend) {
  Table table({"backend", backend.name()});
  table.AddRow({"aliases", absl::StrJoin(backend.aliases(), ", ")});
  table.AddRow({"state", BackendState(backend)});
  table.AddRow({"exact", backend.exact() ? "yes" : "no"});
  table.AddRow(
      {"automatic order", backend.available() ? absl::StrCat(backend.cost_rank()) : std::string()});
  table.AddRow({"device", backend.device()});
  table.AddRow({"method", backend.method()});
  table.AddRow({"engine", backend.engine()});
  table.AddRow({"precision", backend.precision()});
  table.AddRow({"variant", backend.variant()});
  table.AddRow({"head sizes", HeadDims(backend)});
  table.AddRow({"dtypes", DTypes(ToJson(backend))});
  table.AddRow({"features", absl::StrJoin(backend.features(), ", ")});
  std::cout << table.Text();
  Table options({"option", "type", "default", "allowed", "meaning"});
  for (const attention::v1::OptionSpec& option : backend.options()) {
    options.AddRow({option.name(), option.type(), option.default_value(), option.allowed(),
                    option.description()});
  }
  if (!options.empty()) std::cout << "\n" << options.Text();
  std::cout.flush();
}

// The backends named `name` (or with that alias), or all of them.
absl::StatusOr<std::vector<Backend>> FindBackends(const Context& context, const std::string& name) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  ATTN_ASSIGN_OR_RETURN(const attention::v1::ListBackendsResponse response, client->ListBackends());
  std::vector<Backend> backends;
  std::vector<std::string> names;
  for (const Backend& backend : response.backends()) {
    names.push_back(backend.name());
    const bool alias =
        std::any_of(backend.aliases().begin(), backend.aliases().end(),
                    [&](const std::string& other) { return absl::EqualsIgnoreCase(other, name); });
    if (name.empty() || alias || absl::EqualsIgnoreCase(backend.name(), name)) {
      backends.push_back(backend);
    }
  }
  if (backends.empty() && !name.empty()) {
    return absl::NotFoundError(UnknownNameMessage("backend", name, names));
  }
  return backends;
}

int RunBackends(const Context& context, const std::string& name) {
  const absl::StatusOr<std::vector<Backend>> backends = FindBackends(context, name);
  if (!backends.ok()) return Fail(context, backends.status());
  if (context.json) {
    Json list = Json::array();
    for (const Backend& backend : *backends) list.push_back(ToJson(backend));
    PrintJson({{"backends", std::move(list)}});
  } else if (!name.empty()) {
    PrintBackend(backends->front());
  } else {
    PrintBackends(*backends);
  }
  return kExitOk;
}

}  // namespace

void AddBackendsCommand(CLI::App& app, Context& context) {
  auto name = std::make_shared<std::string>();
  CLI::App& command = *app.add_subcommand("backends", "Shows the server's backends");
  command.footer(
      "Examples:\n"
      "  attn backends\n"
      "  attn backends flash\n"
      "  attn backends --json | jq -r '.backends[] | select(.available) | .name'\n\n"
      "Exit codes: 0 shown; 1 unknown name or refused; 2 wrong arguments; 3 no server answered.");
  command.add_option("NAME", *name, "One backend, by name or alias, with its options");
  command.callback([name, &context] { context.exit_code = RunBackends(context, *name); });
}

}  // namespace attn::cli
