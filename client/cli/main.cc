#include "client/cli/run_cli.h"

int main(int argc, char** argv) { return attn::cli::RunCli(argc, argv); }
