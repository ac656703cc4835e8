// The mask of a workload's entry as JSON, both ways.
#ifndef ATTN_CLIENT_LOAD_ENTRY_MASK_JSON_H_
#define ATTN_CLIENT_LOAD_ENTRY_MASK_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "client/load/ordered_json.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::load {

// `where` begins every error.
absl::Status ReadMask(const nlohmann::json& object, const std::string& where,
                      attention::v1::Mask* mask);

// Empty for a mask that hides nothing.
OrderedJson MaskToJson(const attention::v1::Mask& mask);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_ENTRY_MASK_JSON_H_
