// Flags that say what the caller knows about its tokens and itself.
#ifndef ATTN_CLIENT_CLI_METADATA_FLAGS_H_
#define ATTN_CLIENT_CLI_METADATA_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

struct MetadataFlags {
  std::optional<int64_t> timestep;
  std::optional<int64_t> layer;
  std::string grid;
  std::optional<int64_t> text_length;
  std::string caller_id;
  std::string priority;  // `interactive`, `batch` or empty.
};

// `flags` outlives `command`.
void AddMetadataFlags(CLI::App& command, MetadataFlags& flags);

// Sets what was given and leaves the rest of `request` alone.
absl::Status Apply(const MetadataFlags& flags, attention::v1::AttendRequest* request);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_METADATA_FLAGS_H_
