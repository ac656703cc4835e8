#include "client/cli/run_cli.h"
#include "grpc/grpc.h"

int main(int argc, char** argv) {
  // Never undone: when its last user goes, gRPC waits for its backup poller, which after a large
  // payload can sleep for ten seconds.
  grpc_init();
  return attn::cli::RunCli(argc, argv);
}
