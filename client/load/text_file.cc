#include "client/load/text_file.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "client/golden/safetensors.h"
#include "kernels/core/status_macros.h"

namespace attn::load {

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": no regular file"));
  }
  if (const auto bytes = std::filesystem::file_size(path, error); bytes > kMaxTextFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", bytes, " bytes, allowed: at most ", kMaxTextFileBytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad()) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be read"));
  }
  return text;
}

absl::Status WriteTextFile(const std::string& path, absl::string_view text) {
  ATTN_RETURN_IF_ERROR(CheckPathWritable(path));
  const std::string temporary = absl::StrCat(path, ".tmp", getpid());
  std::error_code error;
  {
    std::ofstream file(temporary, std::ios::binary);
    file << text;
    file.close();
    if (file) std::filesystem::rename(temporary, path, error);
    if (file && !error) return absl::OkStatus();
  }
  std::filesystem::remove(temporary, error);  // It may never have come to be.
  return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be written"));
}

}  // namespace attn::load
