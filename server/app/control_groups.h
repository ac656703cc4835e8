// The control groups of this process, for the limits that they set.
#ifndef ATTN_SERVER_APP_CONTROL_GROUPS_H_
#define ATTN_SERVER_APP_CONTROL_GROUPS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace attn {

struct ControlGroup {
  int version = 0;     // 1 or 2: files of the same limit have different names.
  std::string folder;  // In /sys/fs/cgroup.
};

// The groups of `controller` (`memory`, `cpu`) that hold this process, and every group above them:
// the least limit holds. In a container that sees nothing but its own group, folders of the host
// are among them that are not there. `root` stands for `/`, for tests, and is no part of `folder`.
std::vector<ControlGroup> ControlGroupsOf(absl::string_view controller, const std::string& root);

}  // namespace attn

#endif  // ATTN_SERVER_APP_CONTROL_GROUPS_H_
