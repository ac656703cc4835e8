#include "server/transport/wire_tensors.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "kernels/core/limits.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

using attention::v1::Tensor;

// https://protobuf.dev/programming-guides/encoding
enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

constexpr uint32_t TagOf(int field, WireType type) {
  return static_cast<uint32_t>(field) << 3 | type;
}
constexpr uint32_t kTensorTag = TagOf(kTensorsField, kBytes);
constexpr uint32_t kDataTag = TagOf(Tensor::kDataFieldNumber, kBytes);

// Longest encodings that generated protobuf reads: a tag and a length have 32 bits, of a tag's
// fifth byte the bits beyond are dropped; any other varint has 64.
constexpr int kMaxTagBytes = 5;
constexpr int kMaxLengthBytes = 5;
constexpr int kMaxVarintBytes = 10;

// Largest length of a field that generated protobuf reads: its read-ahead of 16 bytes must not
// overflow an int.
constexpr int64_t kMaxFieldBytes = std::numeric_limits<int32_t>::max() - 16;
constexpr int64_t kMaxMessageBytes = std::numeric_limits<int32_t>::max();

absl::Status Malformed(int64_t position, const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat("malformed message at byte ", position, ": ", what));
}

// Reads consecutive slices as one run of bytes. Callers never read past the last byte.
class SliceReader {
 public:
  explicit SliceReader(std::span<const ByteSpan> slices) : slices_(slices) { SkipEndedSlices(); }

  int64_t position() const { return position_; }

  uint8_t ReadByte() {
    const auto byte = static_cast<uint8_t>(slices_[slice_][offset_]);
    ++offset_;
    ++position_;
    SkipEndedSlices();
    return byte;
  }

  void CopyBytes(int64_t bytes, std::string* to) {
    while (bytes > 0) {
      const ByteSpan piece = TakePiece(bytes);
      to->append(reinterpret_cast<const char*>(piece.data()), piece.size());
      bytes -= static_cast<int64_t>(piece.size());
    }
  }

  // Replaces `to` by the pieces of the next bytes.
  void ReferenceBytes(int64_t bytes, std::vector<ByteSpan>* to) {
    to->clear();
    to->reserve(CountPieces(bytes));
    while (bytes > 0) {
      to->push_back(TakePiece(bytes));
      bytes -= static_cast<int64_t>(to->back().size());
    }
  }

 private:
  // What the current slice holds of the next bytes; never empty.
  ByteSpan TakePiece(int64_t bytes) {
    const ByteSpan rest = slices_[slice_].subspan(offset_);
    const ByteSpan piece = rest.first(std::min(rest.size(), static_cast<size_t>(bytes)));
    offset_ += piece.size();
    position_ += static_cast<int64_t>(piece.size());
    SkipEndedSlices();
    return piece;
  }

  void SkipEndedSlices() {
    while (slice_ < slices_.size() && offset_ == slices_[slice_].size()) {
      ++slice_;
      offset_ = 0;
    }
  }

  // An upper bound: empty slices count.
  size_t CountPieces(int64_t bytes) const {
    size_t last = slice_;
    for (int64_t left = bytes + static_cast<int64_t>(offset_); left > 0; ++last) {
      left -= static_cast<int64_t>(slices_[last].size());
    }
    return last - slice_;
  }

  std::span<const ByteSpan> slices_;
  size_t slice_ = 0;  // Names a byte that is left, or is slices_.size().
  size_t offset_ = 0;
  int64_t position_ = 0;
};

// A field up to its content: the tag with the length, or with the value of a varint. The bytes are
// kept as they came, so that protobuf judges them itself.
struct FieldHead {
  int64_t position = 0;  // Of the tag.
  uint32_t tag = 0;
  std::array<char, kMaxTagBytes + kMaxVarintBytes> raw;
  size_t raw_bytes = 0;
  int64_t content_bytes = 0;
};

// Reads a varint that ends before `end`, appending its bytes to the head.
absl::StatusOr<uint64_t> ReadVarint(SliceReader& in, int64_t end, int max_bytes, const char* what,
                                    FieldHead* head) {
  const int64_t begin = in.position();
  uint64_t value = 0;
  for (int i = 0; i < max_bytes; ++i) {
    if (in.position() == end) {
      return Malformed(begin, absl::StrCat(what, " is cut off by the end at byte ", end));
    }
    const uint8_t byte = in.ReadByte();
    head->raw[head->raw_bytes++] = static_cast<char>(byte);
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  return Malformed(begin, absl::StrCat(what, " is longer than ", max_bytes, " bytes"));
}

// The number of content bytes that follow the head.
absl::StatusOr<int64_t> ReadContentLength(SliceReader& in, int64_t end, FieldHead* head) {
  const uint32_t field = head->tag >> 3;
  switch (head->tag & 7) {
    case kVarint:
      ATTN_RETURN_IF_ERROR(ReadVarint(in, end, kMaxVarintBytes, "varint", head).status());
      return 0;
    case kFixed64:
      return 8;
    case kFixed32:
      return 4;
    case kBytes: {
      ATTN_ASSIGN_OR_RETURN(const uint64_t length,
                            ReadVarint(in, end, kMaxLengthBytes, "length", head));
      if (length > static_cast<uint64_t>(kMaxFieldBytes)) {
        return Malformed(head->position, absl::StrCat("length ", length, " of field ", field,
                                                      " exceeds ", kMaxFieldBytes));
      }
      return static_cast<int64_t>(length);
    }
    case kStartGroup:
    case kEndGroup:
      return Malformed(head->position,
                       absl::StrCat("field ", field, " is a group; groups are not accepted"));
    default:
      return Malformed(head->position,
                       absl::StrCat("field ", field, " has the unknown wire type ", head->tag & 7));
  }
}

// Reads the head of a field of a message that ends at `end`; its content is known to fit.
absl::StatusOr<FieldHead> ReadFieldHead(SliceReader& in, int64_t end) {
  FieldHead head;
  head.position = in.position();
  ATTN_ASSIGN_OR_RETURN(const uint64_t tag, ReadVarint(in, end, kMaxTagBytes, "tag", &head));
  head.tag = static_cast<uint32_t>(tag);
  if (head.tag >> 3 == 0) return Malformed(head.position, "field number 0");
  ATTN_ASSIGN_OR_RETURN(head.content_bytes, ReadContentLength(in, end, &head));
  if (head.content_bytes > end - in.position()) {
    return Malformed(head.position, absl::StrCat("field ", head.tag >> 3, " of ",
                                                 head.content_bytes, " bytes, but only ",
                                                 end - in.position(), " are left of its message"));
  }
  return head;
}

// Appends the whole field to `to`, unless that would exceed `max_bytes`: then false.
bool CopyField(SliceReader& in, const FieldHead& head, int64_t max_bytes, std::string* to) {
  const int64_t field_bytes = static_cast<int64_t>(head.raw_bytes) + head.content_bytes;
  if (field_bytes > max_bytes - static_cast<int64_t>(to->size())) return false;
  to->append(head.raw.data(), head.raw_bytes);
  in.CopyBytes(head.content_bytes, to);
  return true;
}

absl::StatusOr<WireTensor> ReadTensor(SliceReader& in, int64_t end, size_t index) {
  const int64_t begin = in.position();
  WireTensor tensor;
  std::string header;
  while (in.position() < end) {
    ATTN_ASSIGN_OR_RETURN(const FieldHead field, ReadFieldHead(in, end));
    if (field.tag == kDataTag) {
      in.ReferenceBytes(field.content_bytes, &tensor.payload);
      tensor.payload_bytes = field.content_bytes;
    } else if (!CopyField(in, field, kMaxTensorHeaderBytes, &header)) {
      return Malformed(field.position,
                       absl::StrCat("fields of tensor ", index, " beside its data exceed ",
                                    kMaxTensorHeaderBytes, " bytes"));
    }
  }
  if (!tensor.header.ParseFromString(header)) {
    return Malformed(begin, absl::StrCat("fields of tensor ", index,
                                         " are no valid Tensor (name and pattern are UTF-8)"));
  }
  return tensor;
}

void AppendVarint(uint64_t value, std::string* to) {
  uint8_t bytes[kMaxVarintBytes];
  const uint8_t* end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(value, bytes);
  to->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(end - bytes));
}

int64_t VarintSize(uint64_t value) {
  return static_cast<int64_t>(google::protobuf::io::CodedOutputStream::VarintSize64(value));
}

// Everything of a tensor that goes before its payload.
void AppendTensorHead(const WireTensor& tensor, std::string* to) {
  assert(tensor.header.data().empty());
  const auto payload_bytes = static_cast<uint64_t>(tensor.payload_bytes);
  const std::string header = tensor.header.SerializeAsString();
  int64_t content_bytes = static_cast<int64_t>(header.size());
  if (payload_bytes > 0) {
    content_bytes += VarintSize(kDataTag) + VarintSize(payload_bytes) + tensor.payload_bytes;
  }
  AppendVarint(kTensorTag, to);
  AppendVarint(static_cast<uint64_t>(content_bytes), to);
  to->append(header);
  if (payload_bytes > 0) {
    AppendVarint(kDataTag, to);
    AppendVarint(payload_bytes, to);
  }
}

}  // namespace

absl::StatusOr<WireMessage> SplitTensors(std::span<const ByteSpan> slices) {
  int64_t size = 0;
  for (const ByteSpan& slice : slices) size += static_cast<int64_t>(slice.size());
  if (size > kMaxMessageBytes) {
    return absl::InvalidArgumentError(absl::StrCat("message of ", size, " bytes exceeds the ",
                                                   kMaxMessageBytes, " that protobuf allows"));
  }
  SliceReader in(slices);
  WireMessage message;
  while (in.position() < size) {
    ATTN_ASSIGN_OR_RETURN(const FieldHead field, ReadFieldHead(in, size));
    if (field.tag == kTensorTag) {
      if (message.tensors.size() == kMaxTensorsPerCall) {
        return Malformed(field.position,
                         absl::StrCat("more than ", kMaxTensorsPerCall, " tensors"));
      }
      ATTN_ASSIGN_OR_RETURN(WireTensor tensor, ReadTensor(in, in.position() + field.content_bytes,
                                                          message.tensors.size()));
      message.tensors.push_back(std::move(tensor));
    } else if (!CopyField(in, field, kMaxSmallFieldBytes, &message.small_fields)) {
      return Malformed(field.position, absl::StrCat("fields beside the tensors exceed ",
                                                    kMaxSmallFieldBytes, " bytes"));
    }
  }
  return message;
}

std::vector<WirePiece> JoinTensors(const google::protobuf::MessageLite& small_fields,
                                   std::span<const WireTensor> tensors) {
  std::vector<WirePiece> pieces;
  size_t payload_pieces = 0;
  for (const WireTensor& tensor : tensors) payload_pieces += tensor.payload.size();
  pieces.reserve(payload_pieces + 1);

  std::string head = small_fields.SerializeAsString();
  for (const WireTensor& tensor : tensors) {
    AppendTensorHead(tensor, &head);
    for (const ByteSpan& payload : tensor.payload) {
      if (payload.empty()) continue;
      pieces.push_back({std::exchange(head, {}), payload});
    }
  }
  pieces.push_back({std::move(head), {}});
  return pieces;
}

}  // namespace attn
