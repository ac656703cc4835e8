// Flags that say which backend shall serve a call, and with which options.
#ifndef ATTN_CLIENT_CLI_SELECTION_FLAGS_H_
#define ATTN_CLIENT_CLI_SELECTION_FLAGS_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::cli {

struct SelectionFlags {
  std::string backend;
  std::string allowed;
  std::vector<std::string> options;
  std::string model;
  std::string preset;
  std::string scope_id;
  bool allow_fallback = false;
  bool allow_approximate = false;
};

// `flags` outlives `command`.
void AddSelectionFlags(CLI::App& command, SelectionFlags& flags);

// Sets what was given and leaves the rest of `request` alone.
absl::Status Apply(const SelectionFlags& flags, attention::v1::AttendRequest* request);

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_SELECTION_FLAGS_H_
