// Backend `eager`: naive attention in fp64, the oracle of every other backend and the only one that
// returns the softmax weights.
#ifndef ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_BACKEND_H_
#define ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_BACKEND_H_

#include <memory>

#include "kernels/core/backend.h"

namespace attn {

std::unique_ptr<Backend> CreateReferenceBackend();

}  // namespace attn

#endif  // ATTN_KERNELS_ENGINES_REFERENCE_REFERENCE_BACKEND_H_
