#include "client/cli/metadata_flags.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/parse_values.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {

void AddMetadataFlags(CLI::App& command, MetadataFlags& flags) {
  CLI::Option_group& group = *command.add_option_group("Metadata");
  group.add_option("--timestep", flags.timestep, "Index of the denoising step, from 0");
  group.add_option("--layer", flags.layer, "Index of the layer, from 0");
  group.add_option("--grid", flags.grid, "Token grid of a video")->type_name("T,H,W");
  group.add_option("--text_length", flags.text_length, "Text tokens beside those of the grid");
  group.add_option("--caller_id", flags.caller_id, "Who calls, for fair sharing among callers")
      ->type_name("ID");
  group
      .add_option("--priority", flags.priority,
                  "interactive (default): somebody waits; batch: takes what those leave")
      ->check(CLI::IsMember({"interactive", "batch"}));
}

absl::Status Apply(const MetadataFlags& flags, attention::v1::AttendRequest* request) {
  using attention::v1::CallMetadata;
  CallMetadata& metadata = *request->mutable_metadata();
  if (flags.timestep.has_value()) metadata.set_timestep(*flags.timestep);
  if (flags.layer.has_value()) metadata.set_layer(*flags.layer);
  if (flags.text_length.has_value()) metadata.set_text_length(*flags.text_length);
  if (!flags.caller_id.empty()) metadata.set_caller_id(flags.caller_id);
  if (!flags.priority.empty()) {
    metadata.set_priority(flags.priority == "batch" ? CallMetadata::BATCH
                                                    : CallMetadata::INTERACTIVE);
  }
  if (flags.grid.empty()) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes, ParseIntegers("--grid", flags.grid));
  if (sizes.size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("--grid: ", Quoted(flags.grid), "; allowed: FRAMES,ROWS,COLUMNS"));
  }
  metadata.mutable_grid()->set_t(sizes[0]);
  metadata.mutable_grid()->set_h(sizes[1]);
  metadata.mutable_grid()->set_w(sizes[2]);
  return absl::OkStatus();
}

}  // namespace attn::cli
