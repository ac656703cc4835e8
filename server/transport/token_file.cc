#include "server/transport/token_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"

namespace attn {

absl::Status CheckToken(const std::string& setting, const std::string& token) {
  if (token.size() > kMaxTokenBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(setting, ": the token is longer than ", kMaxTokenBytes, " bytes"));
  }
  if (!std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(
        absl::StrCat(setting,
                     ": the token is not one line of printable ASCII without spaces, other bytes "
                     "stand there"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& setting, const std::string& path) {
  const std::string place = absl::StrCat(setting, ": ", Quoted(path));
  std::ifstream file(path, std::ios::binary);
  constexpr size_t kTooMuchBytes = kMaxTokenBytes + 3;  // More than a line's end of two bytes.
  std::string text(kTooMuchBytes, '\0');
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) {
    return absl::FailedPreconditionError(
        absl::StrCat(place, " cannot be read: ", std::strerror(errno),
                     "; name a file that this process may read and whose only line is the token"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  // What was not read to its end is too long, whatever it ends with.
  if (text.size() < kTooMuchBytes) absl::StripTrailingAsciiWhitespace(&text);
  if (text.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(place, " is empty, expected one line with a token"));
  }
  if (text.size() < kMinTokenBytes) {
    return absl::FailedPreconditionError(
        absl::StrCat(place, ": the token has ", text.size(), " bytes, expected at least ",
                     kMinTokenBytes, ": nothing limits how often a short one may be guessed"));
  }
  const absl::Status status = CheckToken(place, text);
  if (!status.ok()) return absl::FailedPreconditionError(status.message());
  return text;
}

}  // namespace attn
