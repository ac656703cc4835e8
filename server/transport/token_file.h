// The token of admin calls, which stands in a file of its own, for the server and the client.
#ifndef ATTN_SERVER_TRANSPORT_TOKEN_FILE_H_
#define ATTN_SERVER_TRANSPORT_TOKEN_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attn {

// 16 random letters are beyond guessing over a network.
inline constexpr size_t kMinTokenBytes = 16;
// A server takes 8 KiB of metadata in all.
inline constexpr size_t kMaxTokenBytes = 4096;

// Every message begins with `setting`, and none quotes the token.

// INVALID_ARGUMENT for what metadata cannot carry: more than kMaxTokenBytes, or anything but
// printable ASCII without spaces. Nothing at all is fine.
absl::Status CheckToken(const std::string& setting, const std::string& token);

// The only line of the file that `setting` names, without what ends it. FAILED_PRECONDITION if the
// file cannot be read, or what it holds is empty, shorter than kMinTokenBytes or refused by
// CheckToken.
absl::StatusOr<std::string> ReadTokenFile(const std::string& setting, const std::string& path);

}  // namespace attn

#endif  // ATTN_SERVER_TRANSPORT_TOKEN_FILE_H_
