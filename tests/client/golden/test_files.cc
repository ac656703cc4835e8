#include "tests/client/golden/test_files.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gtest/gtest.h"
#include "kernels/core/float16.h"

namespace attn {

std::string TestPath(const std::string& name) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string folder = std::string(test->test_suite_name()) + "." + test->name();
  std::replace(folder.begin(), folder.end(), '/', '_');
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / folder;
  std::filesystem::create_directories(path);
  return (path / name).string();
}

void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << bytes;
}

std::string ReadBytes(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::string WithHeader(const std::string& header, const std::string& data) {
  const uint64_t bytes = header.size();
  return std::string(reinterpret_cast<const char*>(&bytes), sizeof(bytes)) + header + data;
}

std::string GoldenFile(const std::string& area_and_name) {
  return std::string(ATTN_SOURCE_DIR) + "/tests/golden/" + area_and_name + ".safetensors";
}

std::vector<std::string> GoldenFiles() {
  const char* larger = std::getenv("ATTN_GOLDEN_DIR");
  const std::string directory =
      larger != nullptr ? larger : std::string(ATTN_SOURCE_DIR) + "/tests/golden";
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

SmallCase::SmallCase() {
  for (int i = 0; i < 8; ++i) {
    q.push_back(FloatToBFloat16(0.25F * static_cast<float>(i)));
    k.push_back(FloatToBFloat16(1.0F - static_cast<float>(i)));
    v.push_back(FloatToBFloat16(0.5F + static_cast<float>(i)));
    out.push_back(1.0F + 0.0625F * static_cast<float>(i));  // Exact in 16 bits.
  }
  lse = {1, 2, 3, -4};
  plan_levels = {1, 0, 2, 1};
  const std::vector<int64_t> shape = {1, 1, 4, 2};
  tensors["q"] = {DType::kBFloat16, shape, AsBytes(q)};
  tensors["k"] = {DType::kBFloat16, shape, AsBytes(k)};
  tensors["v"] = {DType::kBFloat16, shape, AsBytes(v)};
  tensors["out"] = {DType::kFloat32, shape, AsBytes(out)};
  tensors["lse"] = {DType::kFloat32, {1, 1, 4}, AsBytes(lse)};
  tensors["plan_levels"] = {DType::kInt8, {1, 1, 2, 2}, AsBytes(plan_levels)};
  json = {{"name", "small"},
          {"area", "test"},
          {"kind", "call"},
          {"backend", "vsa"},
          {"layout", "b h s d"},
          {"options", {{"scale", 0.5}, {"sparsity", 0.5}}},
          {"inputs", {"q", "k", "v"}},
          {"expected",
           {{{"output", "out"}, {"tensor", "out"}, {"rel_l2", 1e-5}, {"max_abs", 1e-4}},
            {{"output", "lse"}, {"tensor", "lse"}, {"max_abs", 1e-4}},
            {{"output", "plan"}, {"tensor", "plan_levels"}, {"exact", true}}}}};
}

std::string SmallCase::Write(const std::string& name) const {
  const std::string path = TestPath(name + ".safetensors");
  EXPECT_TRUE(WriteSafetensors(path, tensors, {{"case", json.dump()}}).ok());
  return path;
}

}  // namespace attn
