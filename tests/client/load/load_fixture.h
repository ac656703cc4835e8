// `attn load` against a server that answers as a test says.
#ifndef ATTN_TESTS_CLIENT_LOAD_LOAD_FIXTURE_H_
#define ATTN_TESTS_CLIENT_LOAD_LOAD_FIXTURE_H_

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/client/cli/run_attn.h"
#include "tests/client/fake_server.h"
#include "tests/client/scoped_environment.h"

namespace attn::cli {

class LoadCommand : public testing::Test {
 protected:
  LoadCommand() : server_({&service_}), variable_("ATTN_SERVER", server_.unix_socket()) {}

  // Of a small call, without warm-up.
  AttnOutput Load(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"load", "--shape", "1x2x4x8", "--warmup", "0", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return RunAttn(all);
  }

  FakeAttention service_;
  FakeServer server_;
  ScopedVariable variable_;
};

}  // namespace attn::cli

#endif  // ATTN_TESTS_CLIENT_LOAD_LOAD_FIXTURE_H_
