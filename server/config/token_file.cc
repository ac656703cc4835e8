#include "server/config/token_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace attn {

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::string text(kMaxTokenBytes + 2, '\0');  // With a line's end of two bytes.
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  text.resize(static_cast<size_t>(file.gcount()));
  absl::StripTrailingAsciiWhitespace(&text);
  if (text.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": empty, expected one line with a token"));
  }
  if (text.size() < kMinTokenBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the token has ", text.size(), " bytes, expected at least ",
                     kMinTokenBytes, ": nothing limits how often a short one may be guessed"));
  }
  if (text.size() > kMaxTokenBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the token is longer than ", kMaxTokenBytes, " bytes"));
  }
  if (!std::all_of(text.begin(), text.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": expected one line of printable ASCII without spaces, other bytes stand there"));
  }
  return text;
}

}  // namespace attn
