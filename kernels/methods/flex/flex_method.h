// Method `flex`: the call's mask compiled to a block mask, as torch's flex attention does (Dong et
// al., arXiv 2412.05496).
#ifndef ATTN_KERNELS_METHODS_FLEX_FLEX_METHOD_H_
#define ATTN_KERNELS_METHODS_FLEX_FLEX_METHOD_H_

#include <memory>

#include "kernels/core/method.h"

namespace attn {

std::unique_ptr<Method> CreateFlexMethod();

}  // namespace attn

#endif  // ATTN_KERNELS_METHODS_FLEX_FLEX_METHOD_H_
