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
using attention::v1::ListBackendsResponse;

struct Wanted {
  std::string name;      // Empty = all.
  bool options = false;  // Those of each instead of the rest.
};

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

void PrintBackends(const ListBackendsResponse& response) {
  Table table({"backend", "exact", "device", "method", "engine", "precision", "variant", "origin",
               "head sizes", "dtypes", "state"});
  for (const Backend& backend : response.backends()) {
    table.AddRow({backend.name(),
                  !backend.available() ? ""
                  : backend.exact()    ? "yes"
                                       : "no",
                  backend.device(), backend.method(), backend.engine(), backend.precision(),
                  backend.variant(), backend.origin(), HeadDims(backend), DTypes(ToJson(backend)),
                  BackendState(backend)});
  }
  std::cout << table.Text();
  Table functions({"mask function", "origin", "meaning"});
  for (const attention::v1::MaskFunction& function : response.mask_functions()) {
    functions.AddRow({function.name(), function.origin(), function.description()});
  }
  if (!functions.empty()) std::cout << "\n" << functions.Text();
  std::cout << "\n`attn backends NAME` shows one, `attn backends --options` every option."
            << std::endl;
}

void PrintOptions(const ListBackendsResponse& response) {
  Table table({"backend", "option", "type", "default", "allowed", "meaning"});
  for (const Backend& backend : response.backends()) {
    for (const attention::v1::OptionSpec& option : backend.options()) {
      table.AddRow({backend.name(), option.name(), option.type(), option.default_value(),
                    option.allowed(), option.description()});
    }
  }
  std::cout << (table.empty() ? "no options\n" : table.Text()) << std::flush;
}

void PrintBackend(const Backend& backend) {
  Table table({"backend", backend.name()});
  table.AddRow({"description", backend.description()});
  table.AddRow({"aliases", absl::StrJoin(backend.aliases(), ", ")});
  table.AddRow({"origin", backend.origin()});
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

bool HasName(const Backend& backend, const std::string& name) {
  return absl::EqualsIgnoreCase(backend.name(), name) ||
         std::any_of(backend.aliases().begin(), backend.aliases().end(),
                     [&](const std::string& alias) { return absl::EqualsIgnoreCase(alias, name); });
}

// The server's list, or of it the backend with that name or alias.
absl::StatusOr<ListBackendsResponse> FindBackends(const Context& context, const std::string& name) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  ATTN_ASSIGN_OR_RETURN(ListBackendsResponse response, client->ListBackends());
  if (name.empty()) return response;
  std::vector<std::string> names;
  ListBackendsResponse found;
  for (const Backend& backend : response.backends()) {
    names.push_back(backend.name());
    if (HasName(backend, name)) *found.add_backends() = backend;
  }
  if (found.backends().empty()) {
    return absl::NotFoundError(UnknownNameMessage("backend", name, names));
  }
  return found;
}

Json ListJson(const ListBackendsResponse& response, const Wanted& wanted) {
  Json backends = Json::array();
  for (const Backend& backend : response.backends()) {
    Json entry = ToJson(backend);
    if (wanted.options) {
      backends.push_back({{"name", entry["name"]}, {"options", std::move(entry["options"])}});
      continue;
    }
    entry["origin"] = backend.origin();
    entry["description"] = backend.description();
    backends.push_back(std::move(entry));
  }
  Json list = {{"backends", std::move(backends)}};
  if (!wanted.name.empty() || wanted.options) return list;
  Json functions = Json::array();
  for (const attention::v1::MaskFunction& function : response.mask_functions()) {
    functions.push_back({{"name", function.name()},
                         {"origin", function.origin()},
                         {"description", function.description()}});
  }
  list["mask_functions"] = std::move(functions);
  return list;
}

int RunBackends(const Context& context, const Wanted& wanted) {
  const absl::StatusOr<ListBackendsResponse> response = FindBackends(context, wanted.name);
  if (!response.ok()) return Fail(context, response.status());
  if (context.json) {
    PrintJson(ListJson(*response, wanted));
  } else if (wanted.options) {
    PrintOptions(*response);
  } else if (!wanted.name.empty()) {
    PrintBackend(response->backends(0));
  } else {
    PrintBackends(*response);
  }
  return kExitOk;
}

}  // namespace

void AddBackendsCommand(CLI::App& app, Context& context) {
  auto wanted = std::make_shared<Wanted>();
  CLI::App& command =
      *app.add_subcommand("backends", "Shows the server's backends and mask functions");
  command.footer(
      "Examples:\n"
      "  attn backends\n"
      "  attn backends flash\n"
      "  attn backends --options\n"
      "  attn backends --json | jq -r '.backends[] | select(.available) | .name'\n\n"
      "Exit codes: 0 shown; 1 unknown name or refused; 2 wrong arguments; 3 no server answered.");
  command.add_option("NAME", wanted->name, "One backend, by name or alias, with its options");
  command.add_flag("--options", wanted->options,
                   "Only the options: name, type, default, what is allowed, meaning");
  command.callback([wanted, &context] { context.exit_code = RunBackends(context, *wanted); });
}

}  // namespace attn::cli
