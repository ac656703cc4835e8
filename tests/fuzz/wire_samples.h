// Hand-made messages for the tests and the fuzzer of the wire format.
#ifndef ATTN_TESTS_FUZZ_WIRE_SAMPLES_H_
#define ATTN_TESTS_FUZZ_WIRE_SAMPLES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace attn {

// Encodings by hand, so that malformed ones can be made as well.
std::string Varint(uint64_t value);
std::string Tag(uint32_t field, uint32_t wire_type);
// Tag, length and content.
std::string Field(uint32_t field, const std::string& content);

struct WireSample {
  const char* name;
  std::string bytes;
};

// Messages that SplitTensors takes, as generated protobuf does.
std::vector<WireSample> AcceptedSamples();

struct RefusedSample {
  const char* name;
  std::string bytes;
  const char* error;  // All of the status message, or its end.
};

// Messages that it refuses by itself, before generated protobuf sees the small fields.
std::vector<RefusedSample> RefusedSamples();

}  // namespace attn

#endif  // ATTN_TESTS_FUZZ_WIRE_SAMPLES_H_
