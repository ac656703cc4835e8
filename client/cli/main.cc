#include <csignal>

#include "client/cli/child_process.h"
#include "client/cli/run_cli.h"
#include "grpc/grpc.h"

int main(int argc, char** argv) {
  // The threads of gRPC inherit the mask and take none of the signals that `attn scope` forwards.
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  attn::cli::BlockForwardedSignals();
  // Never undone: when its last user goes, gRPC waits for its backup poller, which after a large
  // payload can sleep for ten seconds.
  grpc_init();
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  return attn::cli::RunCli(argc, argv);
}
