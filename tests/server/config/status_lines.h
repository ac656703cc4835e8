// What a loader reports, mistake by mistake.
#ifndef ATTN_TESTS_SERVER_CONFIG_STATUS_LINES_H_
#define ATTN_TESTS_SERVER_CONFIG_STATUS_LINES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_split.h"

namespace attn {

inline std::vector<std::string> Lines(const absl::Status& status) {
  return absl::StrSplit(std::string(status.message()), '\n');
}

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_CONFIG_STATUS_LINES_H_
