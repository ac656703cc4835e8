#include "tests/support/golden_files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace attn {

std::string GoldenFolder(const std::string& source_dir) {
  const char* named = std::getenv("ATTN_GOLDEN_DIR");
  return named != nullptr ? named : source_dir + "/tests/golden";
}

std::vector<std::string> GoldenFiles(const std::string& source_dir) {
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(GoldenFolder(source_dir))) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string FindGoldenFile(const std::string& source_dir, const std::string& name) {
  for (std::string& path : GoldenFiles(source_dir)) {
    if (GoldenName(path) == name) return std::move(path);
  }
  return "";
}

std::string GoldenName(const std::string& path) {
  const std::filesystem::path file(path);
  return (file.parent_path().filename() / file.stem()).string();
}

}  // namespace attn
