// Feeds every file of a folder to the fuzz target: wire_tensors_replay FOLDER. Aborts as the
// fuzzer would.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: wire_tensors_replay FOLDER\n");
    return 2;
  }
  std::error_code error;
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1], error)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    std::printf("%s, %zu bytes\n", entry.path().filename().c_str(), bytes.size());
    std::fflush(stdout);  // Names the input if it aborts.
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    ++inputs;
  }
  std::printf("%d inputs\n", inputs);
  if (inputs > 0) return 0;
  std::fprintf(stderr, "no inputs in %s\n", argv[1]);
  return 1;
}
