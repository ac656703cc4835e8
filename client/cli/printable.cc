#include "client/cli/printable.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace attn::cli {
namespace {

// Bytes of the control character that begins `text`; 0 if another character does.
size_t ControlBytes(absl::string_view text) {
  if (absl::ascii_iscntrl(static_cast<unsigned char>(text[0]))) return 1;
  // U+0080 to U+009F.
  const bool c1 =
      text.size() > 1 && text[0] == '\xc2' && static_cast<unsigned char>(text[1]) < 0xa0;
  return c1 ? 2 : 0;
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string printable;
  while (!text.empty()) {
    const size_t control = ControlBytes(text);
    if (control == 0) {
      printable.push_back(text[0]);
      text.remove_prefix(1);
    } else {
      absl::StrAppend(&printable, absl::CHexEscape(text.substr(0, control)));
      text.remove_prefix(control);
    }
  }
  return printable;
}

}  // namespace attn::cli
