// Where the golden cases lie.
#ifndef ATTN_TESTS_SUPPORT_GOLDEN_FILES_H_
#define ATTN_TESTS_SUPPORT_GOLDEN_FILES_H_

#include <string>
#include <vector>

namespace attn {

// ATTN_GOLDEN_DIR or, without it, `tests/golden` of `source_dir`.
std::string GoldenFolder(const std::string& source_dir);

// Paths of all safetensors files below that folder; sorted. Tests take every file that is there,
// never a list of names.
std::vector<std::string> GoldenFiles(const std::string& source_dir);

// The one with that `area/name`; "" if it is not there.
std::string FindGoldenFile(const std::string& source_dir, const std::string& name);

// `area/name` of such a path.
std::string GoldenName(const std::string& path);

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_GOLDEN_FILES_H_
