// The safetensors file format: an 8-byte little-endian header length, a JSON header, the data.
// https://github.com/huggingface/safetensors
#ifndef ATTN_CLIENT_GOLDEN_SAFETENSORS_H_
#define ATTN_CLIENT_GOLDEN_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/core/aligned_buffer.h"
#include "kernels/core/dtype.h"

namespace attn {

struct FileTensor {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // Of the file, or of whoever writes one.
};

// A file read into memory. Movable; tensors stay valid while it lives.
class SafetensorsFile {
 public:
  // NOT_FOUND, FAILED_PRECONDITION if it cannot be read, or INVALID_ARGUMENT naming what is
  // malformed: offsets that overlap, leave a gap or run past the end, sizes that disagree with the
  // shape, unknown dtypes, a header above 100 MB.
  static absl::StatusOr<SafetensorsFile> Read(const std::string& path);

  const std::map<std::string, FileTensor, std::less<>>& tensors() const { return tensors_; }
  const FileTensor* Find(absl::string_view name) const;  // nullptr if there is none
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }

 private:
  AlignedBuffer buffer_;
  std::map<std::string, FileTensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

// NOT_FOUND if `path` lies in no folder, FAILED_PRECONDITION if that cannot be written to or `path`
// is something else than a regular file.
absl::Status CheckPathWritable(const std::string& path);

// Writes to a temporary file beside `path` and renames it. BOOL and sub-byte types have no dtype
// here: kBits is refused. Errors of the disk as CheckPathWritable has them.
absl::Status WriteSafetensors(const std::string& path,
                              const std::map<std::string, FileTensor, std::less<>>& tensors,
                              const std::map<std::string, std::string, std::less<>>& metadata);

}  // namespace attn

#endif  // ATTN_CLIENT_GOLDEN_SAFETENSORS_H_
