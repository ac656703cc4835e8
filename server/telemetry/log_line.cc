#include "server/telemetry/log_line.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace attn {
namespace {

// Everything but printable ASCII is escaped, and bytes that are no UTF-8 are replaced.
std::string JsonString(std::string text) {
  return nlohmann::json(std::move(text))
      .dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

// What no reader of key=value needs quotes for.
bool IsPlain(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::string_view("_-+.,:;/@%()[]").find(c) != absl::string_view::npos;
  });
}

std::string Cut(absl::string_view text) {
  if (text.size() <= LogLine::kMaxTextBytes) return std::string(text);
  return absl::StrCat(text.substr(0, LogLine::kMaxTextBytes), "... [cut; ", text.size(),
                      " bytes in all]");
}

}  // namespace

LogLine::LogLine(absl::Time time, LogLevel level, absl::string_view message) {
  Add("time", absl::FormatTime("%E4Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()));
  Add("level", kLogLevelNames[static_cast<size_t>(level)]);
  Add("msg", message);
}

void LogLine::Add(absl::string_view key, absl::string_view text) {
  std::string shown = Cut(text);
  const bool bare = IsPlain(shown);
  fields_.push_back({std::string(key), JsonString(std::move(shown)), bare});
}

void LogLine::Add(absl::string_view key, int64_t number) {
  fields_.push_back({std::string(key), absl::StrCat(number), false});
}

void LogLine::Add(absl::string_view key, double number) {
  fields_.push_back({std::string(key), nlohmann::json(number).dump(), false});
}

std::string LogLine::Format(LogFormat format) const {
  std::string line;
  for (const Field& field : fields_) {
    if (format == LogFormat::kJson) {
      absl::StrAppend(&line, line.empty() ? "{\"" : ",\"", field.key, "\":", field.json);
      continue;
    }
    absl::string_view value = field.json;
    if (field.bare) value = value.substr(1, value.size() - 2);
    absl::StrAppend(&line, line.empty() ? "" : " ", field.key, "=", value);
  }
  if (format == LogFormat::kJson) line.push_back('}');
  return line;
}

}  // namespace attn
