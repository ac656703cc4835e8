// What `attn load` shows.
#ifndef ATTN_CLIENT_CLI_LOAD_REPORT_H_
#define ATTN_CLIENT_CLI_LOAD_REPORT_H_

#include <string>
#include <vector>

#include "client/cli/closed_loop.h"
#include "client/cli/report.h"
#include "client/cli/shape_flags.h"

namespace attn::cli {

struct LoadReport {
  std::vector<TensorSpec> tensors;
  int concurrency = 0;
  int connections = 0;
  LoopResult result;
};

// {"load": {...}}
Json LoadJson(const LoadReport& report);

// Tables on stdout.
void PrintLoad(const LoadReport& report);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_LOAD_REPORT_H_
