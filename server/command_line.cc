#include "server/command_line.h"

#include <iostream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/version.h"

namespace attn {
namespace {

constexpr char kDescription[] =
    "attnd: attention as a service. Keeps attention backends resident and answers gRPC calls\n"
    "(proto/attention/v1). Options come from the configuration file, then from flags.\n";
constexpr char kFooter[] =
    "\nEnvironment:\n"
    "  ATTN_BACKEND  backend of calls that no scope, no forced override and not the call itself\n"
    "                names (rule 4 of selection)\n"
    "\nExamples:\n"
    "  attnd --listen localhost:8601 --listen unix:/run/attnd/attnd.sock\n"
    "  ATTN_BACKEND=flash attnd --config config/server.yaml --metrics_listen localhost:0\n"
    "\nSIGTERM or SIGINT: admitted calls finish, new ones are refused, exit code 0.\n"
    "A second signal ends the process at once.\n";

// Flags write here; those that were given go over the file's options.
struct Flags {
  std::string config;
  ServerOptions options;
};

// Declares one flag a field and remembers how to carry it over.
class FlagTable {
 public:
  explicit FlagTable(CLI::App& app) : app_(app) {}

  template <typename T>
  void Add(const std::string& name, T ServerOptions::*field, ServerOptions& flags,
           const std::string& help) {
    CLI::Option* option = app_.add_option(name, flags.*field, help);
    carry_.push_back([option, field, &flags](ServerOptions& to) {
      if (option->count() > 0) to.*field = flags.*field;
    });
  }

  void CarryOver(ServerOptions& to) const {
    for (const auto& carry : carry_) carry(to);
  }

 private:
  CLI::App& app_;
  std::vector<std::function<void(ServerOptions&)>> carry_;
};

void AddFlags(FlagTable& table, ServerOptions& flags) {
  table.Add("--listen", &ServerOptions::listen, flags,
            "host:port or unix:PATH; repeatable; replaces the list of the file. Port 0 = any free "
            "one [localhost:8601]");
  table.Add("--metrics_listen", &ServerOptions::metrics_listen, flags,
            "host:port of the Prometheus endpoint, or `off`; port 0 = any [localhost:8602]");
  table.Add("--presets", &ServerOptions::presets, flags, "model presets (attention_config.yaml)");
  table.Add("--force_backend", &ServerOptions::force_backend, flags,
            "forced override at start: a backend, or `auto`");
  table.Add("--workers", &ServerOptions::workers, flags, "threads that compute; 0 = one a core");
  table.Add("--max_waiting_calls", &ServerOptions::max_waiting_calls, flags,
            "calls that may wait in the queue");
  table.Add("--max_running_calls", &ServerOptions::max_running_calls, flags,
            "calls whose tiles interleave");
  table.Add("--max_admitted_bytes", &ServerOptions::max_admitted_bytes, flags,
            "payload, outputs and workspaces of all admitted calls");
  table.Add("--max_message_bytes", &ServerOptions::max_message_bytes, flags,
            "largest request message");
  table.Add("--pool_idle_bytes", &ServerOptions::pool_idle_bytes, flags,
            "buffers kept between calls");
  table.Add("--drain_limit_ms", &ServerOptions::drain_limit_ms, flags,
            "how long admitted calls may take after SIGTERM");
}

int Mistake(const absl::Status& status) {
  std::cerr << "attnd: " << status.message() << "\n";
  return 2;
}

}  // namespace

CommandLine ParseCommandLine(int argc, char** argv) {
  CLI::App app(kDescription);
  app.footer(kFooter);
  app.set_version_flag("--version", absl::StrCat("attnd ", kVersion));
  Flags flags;
  app.add_option("--config", flags.config,
                 "configuration file (config/server.yaml shows every key)");
  FlagTable table(app);
  AddFlags(table, flags.options);

  CommandLine result;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    result.exit_code = code == 0 ? 0 : 2;
    return result;
  }
  if (!flags.config.empty()) {
    absl::StatusOr<ServerOptions> loaded = LoadServerOptions(flags.config);
    if (!loaded.ok()) {
      result.exit_code = Mistake(loaded.status());
      return result;
    }
    result.options = *std::move(loaded);
  }
  table.CarryOver(result.options);
  if (const absl::Status status = Validate(result.options); !status.ok()) {
    result.exit_code = Mistake(status);
  }
  return result;
}

}  // namespace attn
