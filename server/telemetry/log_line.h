// One line of the log, in either format. Of server/telemetry only.
//
//   time=2026-01-31T12:00:00.123Z level=info msg="two words" key=value
//   {"time":"2026-01-31T12:00:00.123Z","level":"info","msg":"two words","key":"value"}
#ifndef ATTN_SERVER_TELEMETRY_LOG_LINE_H_
#define ATTN_SERVER_TELEMETRY_LOG_LINE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/telemetry/server_log.h"

namespace attn {

// A plain value. Keys are ours (letters, digits, `_`); texts may be anyone's.
class LogLine {
 public:
  LogLine(absl::Time time, LogLevel level, absl::string_view message);

  // A text longer than kMaxTextBytes is cut with a note that says so.
  void Add(absl::string_view key, absl::string_view text);
  void Add(absl::string_view key, int64_t number);
  void Add(absl::string_view key, double number);

  // Printable ASCII without a line break.
  std::string Format(LogFormat format) const;

  // An error text's beginning says what is wrong; its list of reasons is for the caller.
  static constexpr size_t kMaxTextBytes = 1024;

 private:
  struct Field {
    std::string key;
    std::string json;   // The value, escaped.
    bool bare = false;  // Stands in text format as it is, without its quotes.
  };

  std::vector<Field> fields_;
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_LOG_LINE_H_
