#include "server/executor/payload_gather.h"

#include <algorithm>
#include <cstring>

namespace attn {

PayloadGather::PayloadGather(const std::vector<PayloadCopy>& copies) : copies_(copies) {
  size_t left = 0;  // Bytes that the last tile still takes.
  for (size_t copy = 0; copy < copies.size(); ++copy) {
    size_t copy_offset = 0;
    for (size_t part = 0; part < copies[copy].parts.size(); ++part) {
      const size_t size = copies[copy].parts[part].size();
      size_t offset = 0;
      while (offset < size) {
        if (left == 0) {
          starts_.push_back({copy, part, offset, copy_offset + offset});
          left = kCopyTileBytes;
        }
        const size_t taken = std::min(left, size - offset);
        offset += taken;
        left -= taken;
      }
      copy_offset += size;
    }
  }
}

void PayloadGather::RunTile(int64_t tile) const {
  auto [copy, part, part_offset, copy_offset] = starts_[static_cast<size_t>(tile)];
  size_t left = kCopyTileBytes;
  while (left > 0 && copy < copies_.size()) {
    const PayloadCopy& source = copies_[copy];
    if (part == source.parts.size()) {
      ++copy;
      part = copy_offset = 0;
      continue;
    }
    const auto bytes = source.parts[part].subspan(part_offset);
    const size_t taken = std::min(left, bytes.size());
    if (taken > 0) std::memcpy(source.to + copy_offset, bytes.data(), taken);
    left -= taken;
    copy_offset += taken;
    part_offset += taken;
    if (part_offset == source.parts[part].size()) {
      ++part;
      part_offset = 0;
    }
  }
}

}  // namespace attn
