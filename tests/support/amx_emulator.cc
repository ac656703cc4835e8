#include "tests/support/amx_emulator.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>

#include "kernels/engines/cpu/cpu_features.h"
#include "kernels/engines/cpu/cpu_isa.h"
#include "tests/support/amx_tiles.h"

#if defined(__x86_64__)
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>
#endif

namespace attn {

AmxSupport GetAmxSupport() {
  const auto& supported = SupportedCpuIsas();
  const auto runs = [&supported](CpuIsa isa) {
    return std::find(supported.begin(), supported.end(), isa) != supported.end();
  };
  if (runs(CpuIsa::kAmxBf16)) return AmxSupport::kNative;
  // Where the system has tiles and refuses them to this process, or CPUID hides them, the
  // instructions that configure them do not trap.
  const bool traps = !HasBits(ReadCpuFeatures().xcr0, Bit(17) | Bit(18));
  return runs(CpuIsa::kAvx512Bf16) && traps ? AmxSupport::kEmulated : AmxSupport::kNone;
}

#if defined(__x86_64__)
namespace {

enum class Operation : uint8_t { kLoadConfig, kStoreConfig, kRelease, kZero, kLoad, kStore, kAdd };

struct Instruction {
  Operation operation = Operation::kRelease;
  int length = 0;  // Bytes
  int tile = 0;    // ModRM.reg
  int left = 0;    // ModRM.rm, of products
  int right = 0;   // VEX.vvvv, of products
  int64_t address = 0;
  int64_t stride = 0;  // Of a tile in memory.
};

// By their number in an instruction.
constexpr int kRegisters[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};

// VEX.128.0F38.W0 in its form of three bytes: C4, then inverted R X B and the opcode map, then W,
// inverted vvvv, L and the prefix that it stands for.
struct Vex {
  int r;
  int x;
  int b;
  int vvvv;
  int prefix;  // 0 none, 1 66h, 2 F3h, 3 F2h
};

std::optional<Vex> DecodeVex(const uint8_t* code) {
  constexpr uint8_t kThreeBytes = 0xc4;
  constexpr int kMap0F38 = 2;
  if (code[0] != kThreeBytes || (code[1] & 0x1f) != kMap0F38) return std::nullopt;
  const bool wide = (code[2] & 0x80) != 0;
  const bool long_vector = (code[2] & 0x04) != 0;
  if (wide || long_vector) return std::nullopt;
  return Vex{.r = (~code[1] >> 7) & 1,
             .x = (~code[1] >> 6) & 1,
             .b = (~code[1] >> 5) & 1,
             .vvvv = (~code[2] >> 3) & 15,
             .prefix = code[2] & 3};
}

// Operation by opcode, prefix and whether the operand is in memory. What is encoded otherwise is
// no instruction of AMX, or one that the kernels do not use.
std::optional<Operation> OperationOf(uint8_t opcode, int prefix, bool memory, int rm) {
  switch (opcode) {
    case 0x49:
      if (memory && prefix == 0) return Operation::kLoadConfig;
      if (memory && prefix == 1) return Operation::kStoreConfig;
      if (!memory && prefix == 0 && rm == 0) return Operation::kRelease;
      if (!memory && prefix == 3 && rm == 0) return Operation::kZero;
      return std::nullopt;
    case 0x4b:
      if (!memory || rm != 4) return std::nullopt;  // 4: an index, which holds the stride
      if (prefix == 3 || prefix == 1) return Operation::kLoad;
      if (prefix == 2) return Operation::kStore;
      return std::nullopt;
    case 0x5c:
      if (!memory && prefix == 2) return Operation::kAdd;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

// The address that ModRM, SIB and displacement name, from `code` = ModRM on; adds their bytes to
// the length. A tile's index is its stride and no part of its address.
void DecodeAddress(const uint8_t* code, const Vex& vex, const greg_t* registers, bool is_tile,
                   Instruction* instruction) {
  const int mode = code[0] >> 6;
  const int rm = code[0] & 7;
  int bytes = 1;
  bool has_base = true;
  int base = rm | vex.b << 3;
  int64_t scaled_index = 0;
  if (rm == 4) {
    const uint8_t sib = code[bytes++];
    const int index = ((sib >> 3) & 7) | vex.x << 3;
    if (index != 4) {
      scaled_index =
          static_cast<int64_t>(static_cast<uint64_t>(registers[kRegisters[index]]) << (sib >> 6));
    }
    base = (sib & 7) | vex.b << 3;
    has_base = mode != 0 || (sib & 7) != 5;
  }
  const bool after_code = mode == 0 && rm == 5;  // Relative to the next instruction.
  int64_t displacement = 0;
  if (mode == 1) {
    displacement = static_cast<int8_t>(code[bytes++]);
  } else if (mode == 2 || after_code || !has_base) {
    int32_t value = 0;
    std::memcpy(&value, code + bytes, sizeof value);
    displacement = value;
    bytes += static_cast<int>(sizeof value);
  }
  instruction->length += bytes;
  instruction->address = displacement;
  if (after_code) {
    instruction->address += registers[REG_RIP] + instruction->length;
  } else if (has_base) {
    instruction->address += registers[kRegisters[base]];
  }
  if (is_tile) {
    instruction->stride = scaled_index;
  } else {
    instruction->address += scaled_index;
  }
}

std::optional<Instruction> Decode(const uint8_t* code, const greg_t* registers) {
  const std::optional<Vex> vex = DecodeVex(code);
  if (!vex.has_value()) return std::nullopt;
  constexpr int kOpcodeAt = 3;
  constexpr int kModRmAt = 4;
  const uint8_t mod_rm = code[kModRmAt];
  const bool memory = mod_rm >> 6 != 3;
  const std::optional<Operation> operation =
      OperationOf(code[kOpcodeAt], vex->prefix, memory, mod_rm & 7);
  if (!operation.has_value()) return std::nullopt;
  if (*operation != Operation::kAdd && vex->vvvv != 0) return std::nullopt;
  Instruction instruction = {.operation = *operation,
                             .length = kModRmAt,
                             .tile = ((mod_rm >> 3) & 7) | vex->r << 3,
                             .left = (mod_rm & 7) | vex->b << 3,
                             .right = vex->vvvv};
  if (memory) {
    const bool is_tile = *operation == Operation::kLoad || *operation == Operation::kStore;
    DecodeAddress(code + kModRmAt, *vex, registers, is_tile, &instruction);
  } else {
    instruction.length += 1;
  }
  return instruction;
}

const char* Execute(const Instruction& instruction, AmxTiles* tiles) {
  auto* const memory = reinterpret_cast<std::byte*>(instruction.address);
  switch (instruction.operation) {
    case Operation::kLoadConfig:
      return tiles->LoadConfig(memory);
    case Operation::kStoreConfig:
      return tiles->StoreConfig(memory);
    case Operation::kRelease:
      return tiles->Release();
    case Operation::kZero:
      return tiles->Zero(instruction.tile);
    case Operation::kLoad:
      return tiles->Load(instruction.tile, memory, instruction.stride);
    case Operation::kStore:
      return tiles->Store(instruction.tile, memory, instruction.stride);
    case Operation::kAdd:
      return tiles->AddProducts(instruction.tile, instruction.left, instruction.right);
  }
  return "no such operation";
}

// A signal's handler reaches nothing else than what is static.
constinit thread_local AmxTiles thread_tiles;
constinit std::mutex install_mutex;
constinit int emulator_count = 0;
struct sigaction previous_action;

// As if ours were not there: a handler is called, the default comes when the instruction is met
// again.
void HandOn(int signal, siginfo_t* info, void* context) {
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler == SIG_DFL || previous_action.sa_handler == SIG_IGN) {
    ::signal(signal, SIG_DFL);
  } else {
    previous_action.sa_handler(signal);
  }
}

[[noreturn]] void Abort(const char* error) {
  constexpr char kWhat[] = "AMX emulator: ";
  // Nothing is to be done if it cannot be written.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, kWhat, sizeof kWhat - 1);
  written = write(STDERR_FILENO, error, std::strlen(error));
  written = write(STDERR_FILENO, "\n", 1);
  std::abort();
}

// Goes on with what follows as long as it is of AMX as well: a signal costs more than all else.
void OnIllegalInstruction(int signal, siginfo_t* info, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  bool first = true;
  while (true) {
    const auto* code = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
    const std::optional<Instruction> instruction = Decode(code, registers);
    if (!instruction.has_value()) break;
    if (const char* error = Execute(*instruction, &thread_tiles)) Abort(error);
    registers[REG_RIP] += instruction->length;
    first = false;
  }
  if (first) HandOn(signal, info, context);
}

}  // namespace

AmxEmulator::AmxEmulator() {
  const std::lock_guard lock(install_mutex);
  if (emulator_count++ > 0) return;
  struct sigaction action = {};
  action.sa_sigaction = OnIllegalInstruction;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGILL, &action, &previous_action);
}

AmxEmulator::~AmxEmulator() {
  const std::lock_guard lock(install_mutex);
  if (--emulator_count == 0) sigaction(SIGILL, &previous_action, nullptr);
}
#else
AmxEmulator::AmxEmulator() = default;
AmxEmulator::~AmxEmulator() = default;
#endif

}  // namespace attn
