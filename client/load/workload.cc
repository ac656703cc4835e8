#include "client/load/workload.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/golden/strict_json.h"
#include "client/load/entry_json.h"
#include "client/load/object_reader.h"
#include "client/load/text_file.h"
#include "kernels/core/status_macros.h"
#include "nlohmann/json.hpp"

namespace attn::load {
namespace {

absl::StatusOr<Workload> ParseWorkload(const std::string& path, absl::string_view text) {
  ATTN_ASSIGN_OR_RETURN(const nlohmann::json root, ParseStrictJson(path, text));
  ObjectReader reader(root, path);
  const nlohmann::json* entries = reader.Find("entries");
  ATTN_RETURN_IF_ERROR(reader.Finish());
  if (entries == nullptr || !entries->is_array() || entries->empty() ||
      entries->size() > kMaxEntries) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": entries: allowed: a list of 1 to ", kMaxEntries, " calls"));
  }
  Workload workload;
  for (size_t i = 0; i < entries->size(); ++i) {
    ATTN_ASSIGN_OR_RETURN(Entry entry,
                          EntryFromJson((*entries)[i], absl::StrCat(path, ": entries[", i, "]")));
    if (entry.name.empty()) entry.name = absl::StrCat("entries[", i, "]");
    workload.entries.push_back(std::move(entry));
  }
  return workload;
}

}  // namespace

absl::StatusOr<Workload> ReadWorkload(const std::string& path) {
  ATTN_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  return ParseWorkload(path, text);
}

absl::Status RecordEntry(const std::string& path, const Entry& entry) {
  nlohmann::ordered_json root = {{"entries", nlohmann::ordered_json::array()}};
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  if (text.ok()) {
    ATTN_RETURN_IF_ERROR(ParseWorkload(path, *text).status());
    root = nlohmann::ordered_json::parse(*text);
  } else if (!absl::IsNotFound(text.status())) {
    return text.status();
  }
  root["entries"].push_back(EntryToJson(entry));
  const std::string written = absl::StrCat(
      root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace), "\n");
  ATTN_RETURN_IF_ERROR(ParseWorkload(path, written).status());
  return WriteTextFile(path, written);
}

}  // namespace attn::load
