#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/command.h"
#include "client/cli/format.h"
#include "client/cli/report.h"
#include "client/cli/response_json.h"
#include "client/cli/table.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

using attention::v1::GetPolicyResponse;

std::string OrNone(const std::string& text) { return text.empty() ? "none" : text; }

void PrintPolicy(const GetPolicyResponse& policy) {
  Table table({"what", "now"});
  table.AddRow({"forced backend", OrNone(policy.forced_backend())});
  table.AddRow({"ATTN_BACKEND at start", OrNone(policy.environment_backend())});
  table.AddRow({"automatic order", absl::StrJoin(policy.automatic_order(), ", ")});
  table.AddRow({"presets", OrNone(absl::StrJoin(policy.presets(), ", "))});
  table.AddRow({"open scopes", absl::StrCat(policy.scopes_size())});
  table.AddRow({"draining", policy.draining() ? "yes" : "no"});
  std::cout << table.Text();

  Table scopes({"scope", "applies to", "backend", "holder", ">age s", ">left s"});
  for (const attention::v1::Scope& scope : policy.scopes()) {
    scopes.AddRow({scope.scope_id(), scope.process() ? "every call" : "calls with its id",
                   scope.backend(), scope.holder(),
                   FormatFixed(static_cast<double>(scope.age_ms()) / 1e3, 1),
                   FormatFixed(static_cast<double>(scope.time_left_ms()) / 1e3, 1)});
  }
  if (!scopes.empty()) std::cout << "\n" << scopes.Text();

  Table quarantines({"quarantined", "by", "reason"});
  for (const attention::v1::Quarantine& quarantine : policy.quarantines()) {
    quarantines.AddRow({quarantine.backend(), quarantine.automatic() ? "the server" : "an operator",
                        quarantine.reason()});
  }
  if (!quarantines.empty()) std::cout << "\n" << quarantines.Text();
  std::cout.flush();
}

absl::StatusOr<GetPolicyResponse> AskPolicy(const Context& context) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  return client->GetPolicy();
}

int RunPolicy(const Context& context) {
  const absl::StatusOr<GetPolicyResponse> policy = AskPolicy(context);
  if (!policy.ok()) return Fail(context, policy.status());
  if (context.json) {
    PrintJson({{"policy", ToJson(*policy)}});
  } else {
    PrintPolicy(*policy);
  }
  return kExitOk;
}

}  // namespace

void AddPolicyCommand(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand(
      "policy", "Shows what steers selection: forced override, scopes, quarantine, presets");
  command.footer(
      "An admin call: --admin_server names another address than --server for it.\n\n"
      "Examples:\n"
      "  attn policy\n"
      "  attn policy --json | jq '.policy.scopes'\n\n"
      "Exit codes: 0 shown; 1 refused; 2 wrong arguments; 3 no server answered.");
  command.callback([&context] { context.exit_code = RunPolicy(context); });
}

}  // namespace attn::cli
