// `attn call` on files of small tensors, answered by a fake server.
#ifndef ATTN_TESTS_CLIENT_CLI_CALL_COMMAND_H_
#define ATTN_TESTS_CLIENT_CLI_CALL_COMMAND_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/golden/safetensors.h"
#include "gtest/gtest.h"
#include "tests/client/cli/run_attn.h"
#include "tests/client/fake_server.h"

namespace attn::cli {

class CallCommand : public testing::Test {
 protected:
  static constexpr int64_t kElements = 1 * 2 * 3 * 4;

  CallCommand() : server_({&service_}) {
    for (size_t i = 0; i < kElements; ++i) values_[i] = static_cast<float>(i) - 7.5F;
  }

  // Of q, k and v [1, 2, 3, 4] fp32 under each prefix.
  std::string WriteFile(const std::vector<std::string>& prefixes) {
    std::map<std::string, FileTensor, std::less<>> tensors;
    for (const std::string& prefix : prefixes) {
      for (const char* name : {"q", "k", "v"}) {
        tensors[prefix + name] = {.dtype = DType::kFloat32,
                                  .shape = {1, 2, 3, 4},
                                  .data = std::as_bytes(std::span(values_))};
      }
    }
    std::string path = absl::StrCat(testing::TempDir(), "/tensors.safetensors");
    EXPECT_TRUE(WriteSafetensors(path, tensors, {}).ok());
    return path;
  }

  AttnOutput Call(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--server", server_.unix_socket(), "call"});
    return RunAttn(std::move(arguments));
  }

  float values_[kElements];
  FakeAttention service_;
  FakeServer server_;
};

}  // namespace attn::cli

#endif  // ATTN_TESTS_CLIENT_CLI_CALL_COMMAND_H_
