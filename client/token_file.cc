#include "client/token_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// A server takes 8 KiB of headers in all.
constexpr size_t kMaxTokenBytes = 4096;

}  // namespace

absl::Status CheckToken(const std::string& source, const std::string& token) {
  const bool printable = std::all_of(token.begin(), token.end(), absl::ascii_isgraph);
  if (printable && token.size() <= kMaxTokenBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(source, ": the token is not one line of at most ",
                                                 kMaxTokenBytes,
                                                 " printable ASCII characters without spaces"));
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& source, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxTokenBytes + 2, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": ", Quoted(path), " cannot be read: ", std::strerror(errno),
                     "; name the file that holds the server's admin token"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  std::string token(absl::StripAsciiWhitespace(text));
  if (token.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", Quoted(path), " holds no token"));
  }
  ATTN_RETURN_IF_ERROR(CheckToken(absl::StrCat(source, ": ", Quoted(path)), token));
  return token;
}

}  // namespace attn
