// Small files, read and written whole.
#ifndef ATTN_CLIENT_LOAD_TEXT_FILE_H_
#define ATTN_CLIENT_LOAD_TEXT_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attn::load {

// An hour of arrivals at a thousand a second has 40 MB.
inline constexpr uintmax_t kMaxTextFileBytes = uintmax_t{256} << 20;

// NOT_FOUND; FAILED_PRECONDITION if it is no regular file or cannot be read; INVALID_ARGUMENT if it
// is larger than kMaxTextFileBytes.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

// Through a temporary file beside it, so that no reader ever sees half of it. FAILED_PRECONDITION
// if it cannot be written.
absl::Status WriteTextFile(const std::string& path, absl::string_view text);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_TEXT_FILE_H_
