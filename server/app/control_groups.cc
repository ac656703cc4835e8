#include "server/app/control_groups.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace attn {
namespace {

void AddGroups(int version, const std::filesystem::path& mount, const std::string& group,
               std::vector<ControlGroup>* groups) {
  std::filesystem::path path = std::filesystem::path(group).relative_path();
  while (true) {
    if (path.empty()) return groups->push_back({version, mount.string()});
    groups->push_back({version, (mount / path).string()});
    path = path.parent_path();
  }
}

}  // namespace

std::vector<ControlGroup> ControlGroupsOf(absl::string_view controller, const std::string& root) {
  std::vector<ControlGroup> groups;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    // `0::/a/b` of version 2, `7:cpu,cpuacct:/a/b` of version 1.
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::vector<absl::string_view> controllers = absl::StrSplit(parts[1], ',');
    if (parts[0] == "0" && parts[1].empty()) {
      AddGroups(2, "/sys/fs/cgroup", parts[2], &groups);
    } else if (std::find(controllers.begin(), controllers.end(), controller) != controllers.end()) {
      AddGroups(1, absl::StrCat("/sys/fs/cgroup/", controller), parts[2], &groups);
    }
  }
  return groups;
}

}  // namespace attn
