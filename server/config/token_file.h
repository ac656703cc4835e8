// The token of admin calls, which stands in a file of its own.
#ifndef ATTN_SERVER_CONFIG_TOKEN_FILE_H_
#define ATTN_SERVER_CONFIG_TOKEN_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace attn {

// 16 random letters are beyond guessing over a network.
inline constexpr size_t kMinTokenBytes = 16;
// Callers send it as metadata, whose values are bounded and printable.
inline constexpr size_t kMaxTokenBytes = 4096;

// The only line of the file, without what ends it. NOT_FOUND if the file cannot be read,
// INVALID_ARGUMENT if it is empty, short, long or has what metadata cannot carry (anything but
// printable ASCII without spaces). No text quotes what stands in the file.
absl::StatusOr<std::string> ReadTokenFile(const std::string& path);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_TOKEN_FILE_H_
