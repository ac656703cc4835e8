// The secret that admin calls carry to listeners which do not trust their peers.
#ifndef ATTN_CLIENT_TOKEN_FILE_H_
#define ATTN_CLIENT_TOKEN_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace attn {

// OK for none and for one line of printable ASCII without spaces, which is all that a header takes.
// Never shows the token.
absl::Status CheckToken(const std::string& source, const std::string& token);

// The token in a file, without the line's end. INVALID_ARGUMENT begins with `source`.
absl::StatusOr<std::string> ReadTokenFile(const std::string& source, const std::string& path);

}  // namespace attn

#endif  // ATTN_CLIENT_TOKEN_FILE_H_
