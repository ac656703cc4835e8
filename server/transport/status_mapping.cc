#include "server/transport/status_mapping.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attn {
namespace {

// Bytes of a character in the grpc-message header, which is percent-encoded.
size_t EncodedBytes(char c) { return c >= 0x20 && c <= 0x7e && c != '%' ? 1 : 3; }

bool ContinuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Longest beginning of `text` that is at most `max_bytes` long when encoded and does not end
// within a UTF-8 character.
absl::string_view EncodedPrefix(absl::string_view text, size_t max_bytes) {
  size_t encoded_bytes = 0;
  size_t size = 0;
  while (size < text.size() && encoded_bytes + EncodedBytes(text[size]) <= max_bytes) {
    encoded_bytes += EncodedBytes(text[size++]);
  }
  if (size == text.size()) return text;
  // A character has at most three continuation bytes; text that is not UTF-8 is cut where it is.
  size_t boundary = size;
  while (boundary > 0 && size - boundary < 3 && ContinuesCharacter(text[boundary])) --boundary;
  return text.substr(0, ContinuesCharacter(text[boundary]) ? size : boundary);
}

std::string CutMessage(absl::string_view message) {
  if (EncodedPrefix(message, kMaxStatusMessageBytes).size() == message.size()) {
    return std::string(message);
  }
  const std::string note = absl::StrCat("... [cut; ", message.size(), " bytes in all]");
  return absl::StrCat(EncodedPrefix(message, kMaxStatusMessageBytes - note.size()), note);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), CutMessage(status.message()));
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // absl::Status reads numbers that it does not know as UNKNOWN.
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace attn
