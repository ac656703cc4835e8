// An entry of a workload as JSON, both ways.
#ifndef ATTN_CLIENT_LOAD_ENTRY_JSON_H_
#define ATTN_CLIENT_LOAD_ENTRY_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/load/workload.h"
#include "nlohmann/json.hpp"

namespace attn::load {

// `where` begins every error: `mix.json: entries[2]`.
absl::StatusOr<Entry> EntryFromJson(const nlohmann::json& json, const std::string& where);

// What is as it is by default is left out.
nlohmann::ordered_json EntryToJson(const Entry& entry);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_ENTRY_JSON_H_
