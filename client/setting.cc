#include "client/setting.h"

#include <cstdlib>

namespace attn {

Setting ReadSetting(const std::string& option, const std::string& value, const char* variable,
                    const std::string& default_value) {
  if (!value.empty()) return {option, value};
  const char* text = std::getenv(variable);
  if (text != nullptr && *text != '\0') return {variable, text};
  return {option, default_value};
}

}  // namespace attn
