#include "client/load/environment.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "kernels/core/status_macros.h"

namespace attn::load {
namespace {

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!absl::StartsWith(line, "model name")) continue;
    return std::string(absl::StripAsciiWhitespace(line.substr(line.find(':') + 1)));
  }
  return "unknown";  // Not every architecture names its model there.
}

}  // namespace

Environment DescribeEnvironment() {
  utsname system = {};
  uname(&system);
  return {.machine = absl::StrCat(system.nodename, " (", system.machine, ")"),
          .cpu = CpuModel(),
          .cores = static_cast<int>(std::thread::hardware_concurrency()),
          .memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE),
          .kernel = absl::StrCat(system.sysname, " ", system.release),
          .client_version = ATTN_VERSION,
          .started = absl::Now()};
}

absl::StatusOr<ServerFacts> DescribeServer(const std::string& address, AttentionClient& client) {
  ATTN_ASSIGN_OR_RETURN(const attention::v1::ListBackendsResponse response, client.ListBackends());
  ServerFacts facts = {.address = address, .version = response.server_version()};
  for (const attention::v1::Backend& backend : response.backends()) {
    if (!backend.available()) continue;
    facts.backends.push_back(backend.device().empty()
                                 ? backend.name()
                                 : absl::StrCat(backend.name(), " (", backend.device(), ")"));
  }
  return facts;
}

}  // namespace attn::load
