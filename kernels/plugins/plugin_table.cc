#include "kernels/plugins/plugin_table.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "kernels/core/nearest_name.h"

namespace attn {
namespace {

constexpr size_t kMaxNameBytes = 64;

// Beyond this a size was never set, and what lies there is not to be read.
constexpr size_t kMaxStructBytes = 4096;

absl::Status Invalid(absl::string_view what, const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat(what, text));
}

}  // namespace

absl::Status CheckStructSize(absl::string_view what, const void* structure, size_t struct_size,
                             size_t least, size_t known) {
  if (struct_size < least || struct_size > kMaxStructBytes) {
    return Invalid(what, absl::StrCat(".struct_size is ", struct_size, ", allowed: ", least, " to ",
                                      kMaxStructBytes));
  }
  if (struct_size <= known) return absl::OkStatus();
  const auto* bytes = static_cast<const char*>(structure);
  if (std::all_of(bytes + known, bytes + struct_size, [](char byte) { return byte == 0; })) {
    return absl::OkStatus();
  }
  return Invalid(what, absl::StrCat(" sets members beyond its first ", known,
                                    " bytes, which this server does not know"));
}

absl::Status CheckPluginName(absl::string_view what, const char* name) {
  if (name == nullptr) return Invalid(what, " is null");
  const absl::string_view text(name, strnlen(name, kMaxNameBytes + 1));
  const auto fits = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_';
  };
  if (!text.empty() && text.size() <= kMaxNameBytes &&
      absl::ascii_islower(static_cast<unsigned char>(text[0])) &&
      std::all_of(text.begin(), text.end(), fits)) {
    return absl::OkStatus();
  }
  return Invalid(what, absl::StrCat(" is ", Quoted(text), ", allowed: 1 to ", kMaxNameBytes,
                                    " of a-z, 0-9 and _, a letter first"));
}

absl::Status CheckPluginText(absl::string_view what, const char* text, size_t least) {
  if (text == nullptr) return Invalid(what, " is null");
  const absl::string_view view(text, strnlen(text, kMaxPluginTextBytes + 1));
  if (view.size() < least || view.size() > kMaxPluginTextBytes) {
    return Invalid(
        what, absl::StrCat(" has ", view.size() > kMaxPluginTextBytes ? "more than " : "",
                           std::min(view.size(), kMaxPluginTextBytes), " bytes, allowed: ", least,
                           " to ", kMaxPluginTextBytes));
  }
  const auto* const odd = std::find_if_not(view.begin(), view.end(), [](char c) {
    return absl::ascii_isprint(static_cast<unsigned char>(c));
  });
  if (odd == view.end()) return absl::OkStatus();
  return Invalid(
      what, absl::StrCat(" has byte ", static_cast<int>(static_cast<unsigned char>(*odd)), " at ",
                         odd - view.begin(), ", allowed: printable ASCII"));
}

absl::Status CheckPluginArray(absl::string_view what, const void* array, size_t count) {
  if (count > kMaxPluginEntries) {
    return Invalid(what,
                   absl::StrCat(" has ", count, " entries, allowed: up to ", kMaxPluginEntries));
  }
  if (count > 0 && array == nullptr) return Invalid(what, " is null");
  return absl::OkStatus();
}

}  // namespace attn
