// Writes the hand-made messages as fuzzer inputs: wire_tensors_seeds FOLDER.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "tests/fuzz/wire_samples.h"

namespace {

// Slices of 1 and 3 bytes, so that every seed crosses boundaries.
bool WriteSeed(const std::string& folder, std::string name, const std::string& bytes) {
  std::replace(name.begin(), name.end(), ' ', '_');
  std::ofstream file(folder + "/" + name, std::ios::binary);
  file << "\x01\x03" << bytes;
  file.close();
  if (!file) std::fprintf(stderr, "cannot write %s in %s\n", name.c_str(), folder.c_str());
  return static_cast<bool>(file);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: wire_tensors_seeds FOLDER\n");
    return 2;
  }
  bool written = true;
  for (const attn::WireSample& sample : attn::AcceptedSamples()) {
    written = WriteSeed(argv[1], sample.name, sample.bytes) && written;
  }
  for (const attn::RefusedSample& sample : attn::RefusedSamples()) {
    written = WriteSeed(argv[1], sample.name, sample.bytes) && written;
  }
  return written ? 0 : 1;
}
