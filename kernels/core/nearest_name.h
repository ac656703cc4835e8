// "Did you mean": the known name nearest to a mistyped one.
#ifndef ATTN_KERNELS_CORE_NEAREST_NAME_H_
#define ATTN_KERNELS_CORE_NEAREST_NAME_H_

#include <span>
#include <string>

#include "absl/strings/string_view.h"

namespace attn {

// The candidate with the smallest edit distance (case folded) to `name`, the first of equals; ""
// if none is within a third of the longer length, at least 2.
std::string NearestName(absl::string_view name, std::span<const std::string> candidates);

// `unknown WHAT 'NAME'; did you mean 'NEAREST'? known: A, B, C` (without the question if nothing
// is near). Names longer than 64 bytes are cut, control characters escaped.
std::string UnknownNameMessage(absl::string_view what, absl::string_view name,
                               std::span<const std::string> candidates);

// The name in quotes, cut and escaped as above: caller's text is never echoed raw.
std::string Quoted(absl::string_view text);

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_NEAREST_NAME_H_
