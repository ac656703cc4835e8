// `attn verify FILE...`: golden cases through a server, as the acceptance test of a deployment.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/case_report.h"
#include "client/cli/case_runner.h"
#include "client/cli/command.h"
#include "kernels/core/status_macros.h"
#include "nlohmann/json.hpp"

namespace attn::cli {
namespace {

constexpr char kAllExact[] = "all";

struct VerifyArguments {
  std::vector<std::string> paths;
  std::vector<std::string> backends = {"auto"};
};

// Files as they are, directories as the .safetensors files under them, sorted.
absl::StatusOr<std::vector<std::string>> FindCaseFiles(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    std::filesystem::recursive_directory_iterator entry(path, error);
    const std::filesystem::recursive_directory_iterator end;
    for (; !error && entry != end; entry.increment(error)) {
      if (entry->path().extension() == ".safetensors") found.push_back(entry->path().string());
    }
    if (error || found.empty()) {
      return absl::NotFoundError(
          absl::StrCat(path, ": ", error ? error.message() : "no .safetensors file under it"));
    }
    std::sort(found.begin(), found.end());
    std::move(found.begin(), found.end(), std::back_inserter(files));
  }
  return files;
}

// What --backend says, `all` replaced by the exact backends of the server.
absl::StatusOr<std::vector<std::string>> DenseBackends(
    const std::vector<std::string>& asked, const attention::v1::ListBackendsResponse& known) {
  if (asked != std::vector<std::string>{kAllExact}) return asked;
  std::vector<std::string> exact;
  for (const attention::v1::Backend& backend : known.backends()) {
    if (backend.exact() && backend.available()) exact.push_back(backend.name());
  }
  if (!exact.empty()) return exact;
  return absl::FailedPreconditionError("--backend all: no exact backend is available");
}

absl::StatusOr<Tally> Verify(const Context& context, const std::vector<std::string>& files,
                             const VerifyArguments& arguments) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<AttentionClient> client, context.Connect());
  // Without a server every case would fail for the same reason: ask once.
  ATTN_ASSIGN_OR_RETURN(const attention::v1::ListBackendsResponse known, client->ListBackends());
  CaseRunOptions options = {.call = context.call_options()};
  ATTN_ASSIGN_OR_RETURN(options.dense_backends, DenseBackends(arguments.backends, known));
  Tally tally;
  nlohmann::json cases = nlohmann::json::array();
  for (const std::string& file : files) {
    const CaseReport report = RunCaseFile(file, options, *client);
    tally.Add(report);
    if (context.json) {
      cases.push_back(ReportJson(report));
    } else {
      std::cout << ReportLine(report) << std::endl;  // As soon as it is known.
    }
  }
  if (!context.json) {
    std::cout << tally.Lines() << std::endl;
    return tally;
  }
  nlohmann::json result = tally.Json();
  result["cases"] = std::move(cases);
  std::cout << result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  return tally;
}

int RunVerify(const Context& context, const VerifyArguments& arguments) {
  const absl::StatusOr<std::vector<std::string>> files = FindCaseFiles(arguments.paths);
  if (!files.ok()) return FailUsage(context, files.status());
  const absl::StatusOr<Tally> tally = Verify(context, *files, arguments);
  if (!tally.ok()) return Fail(context, tally.status());
  return tally->success() ? kExitOk : kExitFailed;
}

}  // namespace

void AddVerifyCommand(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* command = app.add_subcommand(
      "verify", "Runs golden case files through the server: the acceptance test of a deployment");
  command->footer(
      "Every case is sent with its inputs widened to fp32 and as stored, and with its mask as an\n"
      "expression and as a tensor where it has both; softmax weights are asked for in a call of\n"
      "their own. What comes back is held against the limits of the case. A line a case: pass,\n"
      "fail, unsupported or skipped (a kind of case that is not a call), with who served it and\n"
      "who refused what; then a line a backend: how many cases it served in full, how many it\n"
      "refused all or some of, and why; then how many cases came to what. Where several backends\n"
      "are asked, a case is unsupported if each of them refuses some of it. A file that cannot be\n"
      "read, or is no case, counts as failed, with the reason.\n\n"
      "Examples:\n"
      "  attn verify golden/dense --backend flash\n"
      "  attn verify golden/masks golden/modifiers --backend all\n"
      "  attn verify golden/dense golden/real --json | jq .failed\n\n"
      "Exit codes: 0 no case failed or was unsupported; 1 some did or were; 2 wrong arguments, or\n"
      "a folder without cases; 3 no server answered.");
  command->add_option("FILE", arguments->paths, "Case files, or directories of them")->required();
  command
      ->add_option("--backend", arguments->backends,
                   "Backends of the cases that any exact one must pass; all = every exact one that "
                   "the server has")
      ->delimiter(',')
      ->type_name("NAME,...")
      ->allow_extra_args(false)
      ->capture_default_str();
  command->callback([arguments, &context] { context.exit_code = RunVerify(context, *arguments); });
}

}  // namespace attn::cli
