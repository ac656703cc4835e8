// Reading what a plug-in declares: structures that may be of another size than ours, names, texts.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_TABLE_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/status_macros.h"
#include "kernels/plugins/attn_plugin.h"

namespace attn {

inline constexpr size_t kMaxPluginTextBytes = 512;

// Backends, mask functions, options of a backend: above what people read, and small enough that a
// count which was never set shows.
inline constexpr size_t kMaxPluginEntries = 256;

// Bytes of a table in the first header of ABI version 1. A member that is added later does not
// count: what was built before it came does not have it.
template <typename T>
inline constexpr size_t kLeastTableBytes = 0;
template <>
inline constexpr size_t kLeastTableBytes<attn_plugin> = offsetof(attn_plugin, mask_function_count) +
                                                        sizeof(attn_plugin::mask_function_count);
template <>
inline constexpr size_t kLeastTableBytes<attn_backend> = offsetof(attn_backend, destroy) +
                                                         sizeof(attn_backend::destroy);
template <>
inline constexpr size_t kLeastTableBytes<attn_mask_function> = offsetof(attn_mask_function,
                                                                        destroy) +
                                                               sizeof(attn_mask_function::destroy);
template <>
inline constexpr size_t kLeastTableBytes<attn_option> = offsetof(attn_option, self) +
                                                        sizeof(attn_option::self);

// INVALID_ARGUMENT begins with `what` in all of them. A structure of `struct_size` bytes, of which
// the first `least` may not be missing, and those after `known` are zero.
absl::Status CheckStructSize(absl::string_view what, const void* structure, size_t struct_size,
                             size_t least, size_t known);

// [a-z][a-z0-9_]*, up to 64 bytes.
absl::Status CheckPluginName(absl::string_view what, const char* name);

// Printable ASCII, not null, `least` to kMaxPluginTextBytes long.
absl::Status CheckPluginText(absl::string_view what, const char* text, size_t least);

// An array of `count` of something.
absl::Status CheckPluginArray(absl::string_view what, const void* array, size_t count);

// A copy of the part that we know, zero where the table ends before it. T begins with size_t
// struct_size.
template <typename T>
absl::StatusOr<T> CopyTable(absl::string_view what, const T* table) {
  static_assert(std::is_trivially_copyable_v<T> && offsetof(T, struct_size) == 0);
  static_assert(kLeastTableBytes<T> > 0);
  if (table == nullptr) return absl::InvalidArgumentError(absl::StrCat(what, " is null"));
  const size_t bytes = table->struct_size;
  ATTN_RETURN_IF_ERROR(CheckStructSize(what, table, bytes, kLeastTableBytes<T>, sizeof(T)));
  T copy = {};
  std::memcpy(&copy, table, std::min(bytes, sizeof(T)));
  return copy;
}

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_TABLE_H_
