#include "client/golden/safetensors.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/golden/strict_json.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/core/tensor_view.h"

namespace attn {
namespace {

static_assert(std::endian::native == std::endian::little, "files are read as they lie");

// The bound that the format's own library sets.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr char kMetadataKey[] = "__metadata__";

struct DTypeName {
  const char* name;
  DType dtype;
};
// The first name of a dtype is the one written. BOOL is one byte an element, 0 or 1.
constexpr DTypeName kDTypeNames[] = {
    {"F32", DType::kFloat32}, {"F16", DType::kFloat16}, {"BF16", DType::kBFloat16},
    {"I32", DType::kInt32},   {"I64", DType::kInt64},   {"U8", DType::kUint8},
    {"I8", DType::kInt8},     {"BOOL", DType::kUint8},
};

absl::StatusOr<DType> ReadDType(const nlohmann::json& value) {
  std::string known;
  for (const DTypeName& entry : kDTypeNames) {
    if (value == entry.name) return entry.dtype;
    absl::StrAppend(&known, known.empty() ? "" : ", ", entry.name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "dtype ", value.is_string() ? Quoted(value.get_ref<const std::string&>()) : "of a wrong type",
      " not supported, supported: ", known));
}

// A list of non-negative integers.
absl::StatusOr<std::vector<int64_t>> ReadSizes(absl::string_view key, const nlohmann::json& value) {
  const absl::Status malformed =
      absl::InvalidArgumentError(absl::StrCat(key, " is not a list of integers from 0 to 2^63-1"));
  if (!value.is_array()) return malformed;
  std::vector<int64_t> sizes;
  sizes.reserve(value.size());
  for (const nlohmann::json& size : value) {
    // Non-negative integers are always parsed as unsigned.
    if (!size.is_number_unsigned() || !std::in_range<int64_t>(size.get<uint64_t>())) {
      return malformed;
    }
    sizes.push_back(size.get<int64_t>());
  }
  return sizes;
}

// Byte range of a tensor within the data.
struct Extent {
  int64_t begin = 0;
  int64_t end = 0;
  absl::string_view name;
};

absl::StatusOr<std::pair<FileTensor, Extent>> ReadEntry(const nlohmann::json& entry) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry.contains("shape") || !entry.contains("data_offsets")) {
    return absl::InvalidArgumentError("an entry has exactly dtype, shape and data_offsets");
  }
  FileTensor tensor;
  ATTN_ASSIGN_OR_RETURN(tensor.dtype, ReadDType(entry["dtype"]));
  ATTN_ASSIGN_OR_RETURN(tensor.shape, ReadSizes("shape", entry["shape"]));
  ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> offsets,
                        ReadSizes("data_offsets", entry["data_offsets"]));
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    return absl::InvalidArgumentError("data_offsets is not [begin, end] with begin <= end");
  }
  const std::optional<int64_t> elements = CheckedElementCount(tensor.shape);
  if (!elements.has_value() || *elements > kMaxTensorElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("its shape has more than ", kMaxTensorElements, " elements"));
  }
  const int64_t bytes = ByteSize(tensor.dtype, *elements);
  if (bytes != offsets[1] - offsets[0]) {
    return absl::InvalidArgumentError(absl::StrCat("data_offsets span ", offsets[1] - offsets[0],
                                                   " bytes, its shape and dtype need ", bytes));
  }
  return std::pair(std::move(tensor), Extent{offsets[0], offsets[1], {}});
}

// Every byte of the data belongs to exactly one tensor.
absl::Status CheckCoverage(std::vector<Extent> extents, int64_t data_bytes) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t covered = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != covered) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(extent.name), " begins at byte ", extent.begin,
                       extent.begin < covered ? ", inside the one before, which ends at "
                                              : ", leaving a gap after the one before, at ",
                       covered));
    }
    covered = extent.end;
  }
  if (covered != data_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tensors need ", covered, " bytes of data, the file has ", data_bytes,
                     covered > data_bytes ? ": it is cut short" : ": something follows them"));
  }
  return absl::OkStatus();
}

absl::Status ReadMetadata(const nlohmann::json& value,
                          std::map<std::string, std::string, std::less<>>* metadata) {
  if (!value.is_object()) return absl::InvalidArgumentError("__metadata__ is not an object");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat("__metadata__ ", Quoted(key), " is not a string"));
    }
    metadata->emplace(key, text.get<std::string>());
  }
  return absl::OkStatus();
}

// Bytes of the header, and of the data behind it.
struct Sizes {
  int64_t header = 0;
  int64_t data = 0;
};

absl::StatusOr<Sizes> ReadLengths(std::ifstream& stream, int64_t file_bytes) {
  uint64_t header_bytes = 0;
  if (!stream.read(reinterpret_cast<char*>(&header_bytes), sizeof(header_bytes))) {
    return absl::InvalidArgumentError("shorter than the 8 bytes of the header's length");
  }
  const auto behind = static_cast<uint64_t>(file_bytes) - sizeof(header_bytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > behind) {
    return absl::InvalidArgumentError(
        absl::StrCat("a header of ", header_bytes, " bytes does not fit: the file has ", behind,
                     " left, and at most ", kMaxHeaderBytes, " are allowed"));
  }
  return Sizes{static_cast<int64_t>(header_bytes), static_cast<int64_t>(behind - header_bytes)};
}

std::string HeaderText(const std::map<std::string, std::string, std::less<>>& metadata,
                       const std::vector<std::pair<std::string, FileTensor>>& ordered) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  int64_t offset = 0;
  for (const auto& [name, tensor] : ordered) {
    const auto* dtype_name =
        std::find_if(std::begin(kDTypeNames), std::end(kDTypeNames),
                     [dtype = tensor.dtype](const DTypeName& e) { return e.dtype == dtype; });
    const auto bytes = static_cast<int64_t>(tensor.data.size());
    header[name] = {{"dtype", dtype_name->name},
                    {"shape", tensor.shape},
                    {"data_offsets", std::array{offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // The data then starts 8-byte aligned.
  return text;
}

absl::Status CheckWritable(const std::string& name, const FileTensor& tensor) {
  const std::optional<int64_t> elements = CheckedElementCount(tensor.shape);
  if (name == kMetadataKey || tensor.dtype == DType::kBits || !elements.has_value() ||
      *elements > kMaxTensorElements ||
      ByteSize(tensor.dtype, *elements) != static_cast<int64_t>(tensor.data.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor ", Quoted(name), " (", Name(tensor.dtype), ", ", tensor.data.size(),
                     " bytes) cannot be written: its name is reserved, the format has no such "
                     "dtype, or its shape has another size"));
  }
  return absl::OkStatus();
}

// The file's bytes; false if the disk refuses them.
bool WriteBytes(const std::string& path, const std::string& header,
                const std::vector<std::pair<std::string, FileTensor>>& ordered) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  const uint64_t header_bytes = header.size();
  stream.write(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  stream.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (const auto& [name, tensor] : ordered) {
    stream.write(reinterpret_cast<const char*>(tensor.data.data()),
                 static_cast<std::streamsize>(tensor.data.size()));
  }
  stream.close();
  return !stream.fail();
}

}  // namespace

absl::StatusOr<SafetensorsFile> SafetensorsFile::Read(const std::string& path) {
  const auto in_file = [&path](const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  };
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  const auto file_bytes = static_cast<int64_t>(std::filesystem::file_size(path, error));
  std::ifstream stream(path, std::ios::binary);
  if (error || !stream) return absl::NotFoundError(absl::StrCat(path, ": cannot be opened"));

  const absl::StatusOr<Sizes> sizes = ReadLengths(stream, file_bytes);
  if (!sizes.ok()) return in_file(sizes.status());
  std::string header_text(static_cast<size_t>(sizes->header), '\0');
  SafetensorsFile file;
  file.buffer_ = AlignedBuffer::Allocate(sizes->data);
  if (file.buffer_.size() < sizes->data) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": no memory for ", sizes->data, " bytes"));
  }
  if (!stream.read(header_text.data(), sizes->header) ||
      !stream.read(reinterpret_cast<char*>(file.buffer_.data()), sizes->data)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be read to its end"));
  }

  const absl::StatusOr<nlohmann::json> header = ParseStrictJson("header", header_text);
  if (!header.ok()) return in_file(header.status());
  if (!header->is_object()) return in_file(absl::InvalidArgumentError("header: not an object"));
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header->items()) {
    if (name == kMetadataKey) {
      if (absl::Status status = ReadMetadata(entry, &file.metadata_); !status.ok()) {
        return in_file(status);
      }
      continue;
    }
    absl::StatusOr<std::pair<FileTensor, Extent>> tensor = ReadEntry(entry);
    if (!tensor.ok()) {
      return in_file(absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(name), ": ", tensor.status().message())));
    }
    const auto added = file.tensors_.emplace(name, std::move(tensor->first)).first;
    extents.push_back({tensor->second.begin, tensor->second.end, added->first});
  }
  if (absl::Status status = CheckCoverage(extents, sizes->data); !status.ok()) {
    return in_file(status);
  }
  for (const Extent& extent : extents) {
    file.tensors_.find(extent.name)->second.data = {file.buffer_.data() + extent.begin,
                                                    static_cast<size_t>(extent.end - extent.begin)};
  }
  return file;
}

const FileTensor* SafetensorsFile::Find(absl::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

absl::Status CheckPathWritable(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": exists and is not a regular file"));
  }
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": no folder ", folder.string()));
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": the folder ", folder.string(), " cannot be written to"));
  }
  return absl::OkStatus();
}

absl::Status WriteSafetensors(const std::string& path,
                              const std::map<std::string, FileTensor, std::less<>>& tensors,
                              const std::map<std::string, std::string, std::less<>>& metadata) {
  for (const auto& [name, tensor] : tensors) ATTN_RETURN_IF_ERROR(CheckWritable(name, tensor));
  ATTN_RETURN_IF_ERROR(CheckPathWritable(path));
  // Widest elements first: every tensor lies aligned to its element.
  std::vector<std::pair<std::string, FileTensor>> ordered(tensors.begin(), tensors.end());
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return BitWidth(a.second.dtype) > BitWidth(b.second.dtype);
  });
  std::string header;
  try {
    header = HeaderText(metadata, ordered);
  } catch (const nlohmann::json::exception&) {  // The only one: text that is not UTF-8.
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": names and metadata of a safetensors file are UTF-8"));
  }
  const std::string temporary = absl::StrCat(path, ".tmp", getpid());
  if (WriteBytes(temporary, header, ordered)) {
    std::error_code error;
    std::filesystem::rename(temporary, path, error);
    if (!error) return absl::OkStatus();
  }
  std::error_code ignored;  // It may never have come to be.
  std::filesystem::remove(temporary, ignored);
  return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be written"));
}

}  // namespace attn
