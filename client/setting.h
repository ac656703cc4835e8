// A setting of a client: an option, else a variable of the environment, else a default.
#ifndef ATTN_CLIENT_SETTING_H_
#define ATTN_CLIENT_SETTING_H_

#include <string>

namespace attn {

struct Setting {
  std::string source;  // For messages: the option's name or the variable's.
  std::string value;
};

// An empty value is none, of the option as of the variable.
Setting ReadSetting(const std::string& option, const std::string& value, const char* variable,
                    const std::string& default_value = "");

}  // namespace attn

#endif  // ATTN_CLIENT_SETTING_H_
