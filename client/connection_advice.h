// What to do about a connection that gRPC reports as failed.
#ifndef ATTN_CLIENT_CONNECTION_ADVICE_H_
#define ATTN_CLIENT_CONNECTION_ADVICE_H_

#include "absl/strings/string_view.h"

namespace attn {

// Begins with "; ", or is empty where nothing is known. gRPC tells the reason of a failed handshake
// in its message alone, so this reads the words that 1.51 uses; of other versions' it makes
// nothing.
absl::string_view ConnectionAdvice(absl::string_view grpc_message);

}  // namespace attn

#endif  // ATTN_CLIENT_CONNECTION_ADVICE_H_
