// Numbers and shapes as people read them.
#ifndef ATTN_CLIENT_CLI_FORMAT_H_
#define ATTN_CLIENT_CLI_FORMAT_H_

#include <cstdint>
#include <span>
#include <string>

#include "kernels/core/dtype.h"

namespace attn::cli {

std::string FormatMs(double nanoseconds);  // Milliseconds with three decimals.
std::string FormatFixed(double value, int decimals);
std::string FormatScientific(double value);               // Three significant digits: 1.23e-06.
std::string FormatShape(std::span<const int64_t> shape);  // 1x8x128x64
std::string FormatTensor(DType dtype, std::span<const int64_t> shape);  // 1x8x128x64 bf16

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_FORMAT_H_
