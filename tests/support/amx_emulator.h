// Runs AMX instructions on machines that lack them, one at a time, so that the kernels of the very
// binary that is shipped are tested there.
//
// The processor raises SIGILL at the first such instruction; the handler decodes it, does it on the
// thread's tiles in software (amx_tiles.h), and goes on behind it: microseconds each. Anything else
// that is illegal goes to the handler before. What a processor would refuse aborts, saying why.
#ifndef ATTN_TESTS_SUPPORT_AMX_EMULATOR_H_
#define ATTN_TESTS_SUPPORT_AMX_EMULATOR_H_

#include <cstdint>

namespace attn {

enum class AmxSupport : uint8_t {
  kNative,    // The machine runs the kernels for AMX.
  kEmulated,  // It does under an AmxEmulator.
  kNone,      // It lacks what those kernels need beside AMX: AVX-512 with BF16.
};

AmxSupport GetAmxSupport();

// While one lives, all threads run AMX instructions. Any number may live at once. Requires
// kEmulated.
class AmxEmulator {
 public:
  AmxEmulator();
  ~AmxEmulator();
  AmxEmulator(const AmxEmulator&) = delete;
  AmxEmulator& operator=(const AmxEmulator&) = delete;
};

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_AMX_EMULATOR_H_
