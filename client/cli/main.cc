#include <csignal>
#include <cstdlib>

#include "client/cli/child_process.h"
#include "client/cli/run_cli.h"
#include "grpc/grpc.h"
#include "grpc/support/log.h"

int main(int argc, char** argv) {
  // The threads of gRPC inherit the mask and take none of the signals that `attn scope` forwards.
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  attn::cli::BlockForwardedSignals();
  // Never undone: when its last user goes, gRPC waits for its backup poller, which after a large
  // payload can sleep for ten seconds.
  grpc_init();
  // What gRPC logs of a failed handshake stands in the error that we print.
  if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  return attn::cli::RunCli(argc, argv);
}
