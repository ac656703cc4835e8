// One backend against one feature: it honours the feature or refuses it by name.
#ifndef ATTN_TESTS_KERNELS_ENGINES_FEATURE_WALK_H_
#define ATTN_TESTS_KERNELS_ENGINES_FEATURE_WALK_H_

#include "kernels/core/backend.h"
#include "kernels/core/capabilities.h"

namespace attn {

// Of every use of the feature: what the backend declares is what it does, with the feature on the
// result is the oracle's and differs from the one with it off. `backend` is available, within the
// stages.
void ExpectHonouredOrRefused(const Backend& backend, Feature feature);

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_ENGINES_FEATURE_WALK_H_
