// Files that the tests of the golden reader write and read.
#ifndef ATTN_TESTS_CLIENT_GOLDEN_TEST_FILES_H_
#define ATTN_TESTS_CLIENT_GOLDEN_TEST_FILES_H_

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "client/golden/safetensors.h"
#include "nlohmann/json.hpp"

namespace attn {

// A path in the test's own temporary folder.
std::string TestPath(const std::string& name);

void WriteBytes(const std::string& path, const std::string& bytes);
std::string ReadBytes(const std::string& path);

// The bytes of a safetensors file with this header, as it stands, and this data.
std::string WithHeader(const std::string& header, const std::string& data);

// Where the golden cases lie: ATTN_GOLDEN_DIR, or the subset in the repository. Sorted.
std::vector<std::string> GoldenFiles();
std::string GoldenFile(const std::string& area_and_name);  // Of the subset.

template <typename T>
std::span<const std::byte> AsBytes(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// A small case whose expected outputs are made up: q, k, v [1, 1, 4, 2] in bf16, out and lse in
// fp32, plan_levels [1, 1, 2, 2] in int8. Change `json` and `tensors`, then Write.
struct SmallCase {
  SmallCase();

  // The file's path.
  std::string Write(const std::string& name) const;

  nlohmann::json json;
  std::map<std::string, FileTensor, std::less<>> tensors;

  // What the tensors borrow.
  std::vector<uint16_t> q, k, v;
  std::vector<float> out, lse;
  std::vector<int8_t> plan_levels;
};

}  // namespace attn

#endif  // ATTN_TESTS_CLIENT_GOLDEN_TEST_FILES_H_
