#include "kernels/plugins/plugin_edge.h"

#include <array>
#include <cstring>
#include <exception>
#include <new>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace attn {
namespace {

// What people read of an error fits a few lines.
constexpr size_t kErrorBytes = 512;

// The text stands in logs, tables and UTF-8 messages.
std::string Printable(absl::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return printable;
}

absl::StatusCode CodeOf(attn_status status) {
  switch (status) {
    case ATTN_OK:
      return absl::StatusCode::kOk;
    case ATTN_INVALID_ARGUMENT:
      return absl::StatusCode::kInvalidArgument;
    case ATTN_UNIMPLEMENTED:
      return absl::StatusCode::kUnimplemented;
    case ATTN_RESOURCE_EXHAUSTED:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status CallPlugin(const PluginOwner& owner, absl::string_view callback,
                        absl::FunctionRef<attn_status(char* error, size_t error_size)> call) {
  const auto thrown = [&](absl::string_view what) {
    return absl::InternalError(absl::StrCat(owner.name, " (", owner.origin, "): ", callback,
                                            " threw ", Printable(what.substr(0, kErrorBytes))));
  };
  std::array<char, kErrorBytes> error;
  error.front() = '\0';
  attn_status status = ATTN_OK;
  try {
    status = call(error.data(), error.size());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(owner.name, ": out of memory"));
  } catch (const std::exception& exception) {
    return thrown(exception.what());
  } catch (...) {
    return thrown("what is no std::exception");
  }
  if (status == ATTN_OK) return absl::OkStatus();
  const absl::string_view text(error.data(), strnlen(error.data(), error.size()));
  const absl::StatusCode code = CodeOf(status);
  if (code != absl::StatusCode::kInternal && !text.empty()) {
    return absl::Status(code, absl::StrCat(owner.name, ": ", Printable(text)));
  }
  return absl::Status(
      code, absl::StrCat(owner.name, " (", owner.origin, "): ", callback, " failed with status ",
                         status, text.empty() ? "" : ": ", Printable(text)));
}

}  // namespace attn
