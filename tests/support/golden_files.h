// Where the golden cases lie.
#ifndef ATTN_TESTS_SUPPORT_GOLDEN_FILES_H_
#define ATTN_TESTS_SUPPORT_GOLDEN_FILES_H_

#include <string>
#include <vector>

namespace attn {

// Paths of all safetensors files below ATTN_GOLDEN_DIR or, without it, below `tests/golden` of
// `source_dir`; sorted. Tests take every file that is there, never a list of names.
std::vector<std::string> GoldenFiles(const std::string& source_dir);

// `area/name` of such a path.
std::string GoldenName(const std::string& path);

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_GOLDEN_FILES_H_
