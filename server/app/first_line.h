// What the system says in files of one line.
#ifndef ATTN_SERVER_APP_FIRST_LINE_H_
#define ATTN_SERVER_APP_FIRST_LINE_H_

#include <string>

namespace attn {

// Of a file in /proc or /sys; empty if it cannot be read.
std::string FirstLine(const std::string& path);

}  // namespace attn

#endif  // ATTN_SERVER_APP_FIRST_LINE_H_
