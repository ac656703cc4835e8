// What no option shows alone: combinations that contradict themselves, and those that hardly mean
// what they say.
#ifndef ATTN_SERVER_CONFIG_OPTION_COMBINATIONS_H_
#define ATTN_SERVER_CONFIG_OPTION_COMBINATIONS_H_

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "server/config/server_config.h"

namespace attn {

struct CombinationFindings {
  std::vector<std::string> mistakes;
  std::vector<std::string> warnings;
};

// Each finding names every key that takes part and where it comes from. Keys in `broken` have no
// value to judge: what they take part in is left out.
CombinationFindings CheckCombinations(const ServerConfig& config,
                                      const std::set<std::string, std::less<>>& broken);

}  // namespace attn

#endif  // ATTN_SERVER_CONFIG_OPTION_COMBINATIONS_H_
