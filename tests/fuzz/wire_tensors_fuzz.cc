// Fuzzes SplitTensors against generated protobuf. The first two bytes of an input are the sizes of
// the slices, in turn; the rest is the message.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "google/protobuf/stubs/logging.h"
#include "tests/fuzz/wire_tensors_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Protobuf logs every string that is not UTF-8.
  [[maybe_unused]] static auto* const previous_handler = google::protobuf::SetLogHandler(nullptr);
  if (size < 2) return 0;
  // Zero twice would never get to the end.
  const std::array<size_t, 2> slice_sizes = {data[0], data[1] == 0 ? size_t{4096} : data[1]};
  const std::string bytes(reinterpret_cast<const char*>(data) + 2, size - 2);

  std::string disagreement = attn::FindDisagreement(bytes);
  const attn::SlicedMessage whole(bytes, std::array<size_t, 1>{bytes.size()});
  const attn::SlicedMessage sliced(bytes, slice_sizes);
  if (attn::Describe(attn::SplitTensors(whole.slices())) !=
      attn::Describe(attn::SplitTensors(sliced.slices()))) {
    disagreement += "slices change the result";
  }
  if (!disagreement.empty()) {
    std::fprintf(stderr, "%s\n", disagreement.c_str());
    std::abort();
  }
  return 0;
}
