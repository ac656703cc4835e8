// Every bound on what a call may ask of the compute library, one sentence each.
#ifndef ATTN_KERNELS_CORE_LIMITS_H_
#define ATTN_KERNELS_CORE_LIMITS_H_

#include <cstdint>

namespace attn {

// Largest value of any one dimension: positions and block offsets are int32 in plans, and a product
// of two stays within int64.
inline constexpr int64_t kMaxDimension = (int64_t{1} << 31) - 1;

// Largest number of elements of one tensor: with 8 bytes an element the size stays below 2^63.
inline constexpr int64_t kMaxTensorElements = int64_t{1} << 40;

// Head sizes that any CPU backend takes; a device kernel declares its own.
inline constexpr int64_t kMaxHeadDim = 256;

// Entries (B * H * Nq * Nk) of a reported plan: 64 Mi one-byte levels are a 64 MiB tensor.
inline constexpr int64_t kMaxReportedPlanEntries = int64_t{1} << 26;

// Smallest and largest edge of a block of a plan.
inline constexpr int64_t kMinBlock = 1;
inline constexpr int64_t kMaxBlock = 65536;

// Nodes of a mask expression, and how deep they nest: more than any model's masks, few enough to
// evaluate.
inline constexpr int64_t kMaxMaskNodes = 64;
inline constexpr int kMaxMaskDepth = 16;

// Blocks (B * H * Nq * Nk) of all block lists of a mask expression together: a bit each, 128 MiB.
inline constexpr int64_t kMaxMaskBlocks = int64_t{1} << 30;

// Largest position, offset, length and window of a mask expression, of either sign: sums of as
// many as nest stay within int64.
inline constexpr int64_t kMaxMaskNumber = int64_t{1} << 52;

// Tensors of one call, and options of one call.
inline constexpr int64_t kMaxTensorsPerCall = 64;
inline constexpr int64_t kMaxOptionsPerCall = 64;

// Entries of a mask's lengths, or sequences of its cu_seqlens: each entry is copied and read
// several times a call, and a plan of more sequences is of no use.
inline constexpr int64_t kMaxSequences = 65536;

// List elements of all options of one call together, at every depth.
inline constexpr int64_t kMaxOptionElements = 65536;

// Names in a call's allowed_backends: above every name of every backend.
inline constexpr int64_t kMaxAllowedBackends = 64;

// Largest pooling level of a plan: reported as int8.
inline constexpr int64_t kMaxPlanLevel = 127;

// Nesting of option lists: PSA's mask_ratios needs two.
inline constexpr int kMaxOptionDepth = 4;

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_LIMITS_H_
