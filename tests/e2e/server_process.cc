#include "tests/e2e/server_process.h"

#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace attn {

ServerProcess::ServerProcess(const std::vector<std::string>& arguments,
                             const Process::Environment& environment) {
  std::string folder = (std::filesystem::temp_directory_path() / "attnd-test-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) std::abort();
  folder_ = folder;
  unix_ = "unix:" + folder_ + "/attnd.sock";
  std::vector<std::string> all = {"--listen", "127.0.0.1:0",      "--listen",
                                  unix_,      "--metrics_listen", "127.0.0.1:0"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  process_ = std::make_unique<Process>("attnd", all, environment);
  // attnd VERSION ready: listen=A,B metrics=M workers=N
  const std::string line = process_->ReadLine();
  for (const absl::string_view word : absl::StrSplit(line, ' ')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    if (parts.first == "listen") {
      listen_ = absl::StrSplit(parts.second, ',');
      tcp_ = listen_[0];
    } else if (parts.first == "metrics") {
      metrics_ = std::string(parts.second);
    }
  }
  EXPECT_FALSE(tcp_.empty()) << "attnd did not start: " << line << process_->Wait().err;
}

ServerProcess::~ServerProcess() {
  process_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::unique_ptr<AttentionClient> ServerProcess::Connect(const std::string& address) const {
  ClientOptions options;
  options.server = address;
  options.admin_server = address;
  absl::StatusOr<std::unique_ptr<AttentionClient>> client = AttentionClient::Create(options);
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

ProcessOutput ServerProcess::Attn(std::vector<std::string> arguments,
                                  const Process::Environment& environment) const {
  arguments.insert(arguments.begin(), {"--server", unix_});
  return RunProgram("attn", arguments, environment);
}

ProcessOutput ServerProcess::Stop() {
  process_->Signal(SIGTERM);
  return process_->Wait();
}

}  // namespace attn
