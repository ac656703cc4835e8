// `attn` run in the test's process.
#ifndef ATTN_TESTS_CLIENT_CLI_RUN_ATTN_H_
#define ATTN_TESTS_CLIENT_CLI_RUN_ATTN_H_

#include <string>
#include <vector>

#include "client/cli/run_cli.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace attn::cli {

struct AttnOutput {
  int exit_code;
  std::string out;
  std::string err;

  // The whole of stdout as one document.
  nlohmann::json json() const { return nlohmann::json::parse(out, nullptr, false); }
};

inline AttnOutput RunAttn(std::vector<std::string> arguments) {
  std::vector<const char*> argv = {"attn"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int exit_code = RunCli(static_cast<int>(argv.size()), argv.data());
  return {exit_code, testing::internal::GetCapturedStdout(),
          testing::internal::GetCapturedStderr()};
}

}  // namespace attn::cli

#endif  // ATTN_TESTS_CLIENT_CLI_RUN_ATTN_H_
