// Text of others as a terminal may show it.
#ifndef ATTN_CLIENT_CLI_PRINTABLE_H_
#define ATTN_CLIENT_CLI_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace attn::cli {

// `text` on one line: its control characters (C0, DEL and the C1 of UTF-8) as \n, \t or \x1b, so
// that no server, file name or reason of an operator moves a cursor or forges a line.
std::string Printable(absl::string_view text);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_PRINTABLE_H_
