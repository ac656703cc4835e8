// Files for tests of loaders.
#ifndef ATTN_TESTS_SERVER_CONFIG_TEMPORARY_FILE_H_
#define ATTN_TESTS_SERVER_CONFIG_TEMPORARY_FILE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace attn {

// A file `name` in a folder of its own, gone with the object.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& name, const std::string& text) {
    std::string pattern = testing::TempDir() + "attn_config_XXXXXX";
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ / name;
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TemporaryFile() { std::filesystem::remove_all(folder_); }

  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  std::string path() const { return path_.string(); }
  std::string folder() const { return folder_.string(); }

 private:
  std::filesystem::path folder_;
  std::filesystem::path path_;
};

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_CONFIG_TEMPORARY_FILE_H_
