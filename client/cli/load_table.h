// What `attn load` prints.
#ifndef ATTN_CLIENT_CLI_LOAD_TABLE_H_
#define ATTN_CLIENT_CLI_LOAD_TABLE_H_

#include "client/load/load_report.h"

namespace attn::cli {

// Tables on stdout.
void PrintLoad(const load::LoadReport& report);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_LOAD_TABLE_H_
