#include "server/config/flags.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "kernels/core/nearest_name.h"
#include "server/config/config_keys.h"

namespace attn {
namespace {

constexpr absl::string_view kDashes = "--";
constexpr absl::string_view kConfig = "config";

struct Action {
  absl::string_view name;
  bool Flags::*member;
};
constexpr Action kActions[] = {{"help", &Flags::help},
                               {"version", &Flags::version},
                               {"check_config", &Flags::check_config},
                               {"print_config", &Flags::print_config}};

std::string UnknownFlag(absl::string_view name) {
  std::vector<std::string> known = {absl::StrCat(kDashes, kConfig)};
  for (const Action& action : kActions) known.push_back(absl::StrCat(kDashes, action.name));
  for (const ConfigKey& key : ConfigKeys()) known.push_back(absl::StrCat(kDashes, key.name));
  const std::string flag = absl::StrCat(kDashes, name);
  const std::string nearest = NearestName(flag, known);
  return absl::StrCat("unknown flag ", Quoted(flag), "; ",
                      nearest.empty() ? "" : absl::StrCat("did you mean '", nearest, "'? "),
                      "attnd --help lists them");
}

class Parser {
 public:
  explicit Parser(std::span<const std::string> arguments) : arguments_(arguments) {}

  Flags Run() {
    while (next_ < arguments_.size()) {
      absl::string_view argument = arguments_[next_++];
      if (argument == "-h") argument = "--help";
      if (!absl::ConsumePrefix(&argument, kDashes) || argument.empty()) {
        AddMistake(absl::StrCat("unexpected argument ", Quoted(arguments_[next_ - 1]),
                                "; every option is --KEY VALUE"));
        continue;
      }
      const size_t equals = argument.find('=');
      inline_value_ = std::nullopt;
      if (equals != absl::string_view::npos) inline_value_ = argument.substr(equals + 1);
      Flag(argument.substr(0, equals));
    }
    return std::move(flags_);
  }

 private:
  void Flag(absl::string_view name) {
    const auto* action = std::find_if(std::begin(kActions), std::end(kActions),
                                      [name](const Action& one) { return one.name == name; });
    if (action != std::end(kActions)) {
      flags_.*action->member = true;
      if (inline_value_) AddMistake(absl::StrCat(kDashes, name, ": takes no value"));
      return;
    }
    const ConfigKey* key = FindConfigKey(name);
    const std::optional<std::string> value = Value();
    if (key == nullptr && name != kConfig) return AddMistake(UnknownFlag(name));
    if (!value) return AddMistake(absl::StrCat(kDashes, name, ": needs a value"));
    if (key == nullptr ? !flags_.config.empty() : !MayFollow(*key)) {
      return AddMistake(absl::StrCat(kDashes, name, ": given twice"));
    }
    if (key != nullptr) {
      flags_.values.emplace_back(name, *value);
    } else if (value->empty()) {
      AddMistake(absl::StrCat(kDashes, name, ": needs the path of a file"));
    } else {
      flags_.config = *value;
    }
  }

  // Of the flag at hand: behind `=`, or the next argument if that is no flag.
  std::optional<std::string> Value() {
    if (inline_value_) return std::string(*inline_value_);
    if (next_ == arguments_.size() || absl::StartsWith(arguments_[next_], kDashes)) {
      return std::nullopt;
    }
    return arguments_[next_++];
  }

  bool MayFollow(const ConfigKey& key) const {
    return key.type == KeyType::kAddresses ||
           std::none_of(flags_.values.begin(), flags_.values.end(),
                        [&key](const auto& value) { return value.first == key.name; });
  }

  void AddMistake(std::string what) { flags_.mistakes.push_back(std::move(what)); }

  const std::span<const std::string> arguments_;
  size_t next_ = 0;
  std::optional<absl::string_view> inline_value_;
  Flags flags_;
};

}  // namespace

Flags ParseFlags(std::span<const std::string> arguments) { return Parser(arguments).Run(); }

}  // namespace attn
