// The server's log: one structured line an event, on stderr, as text (key=value) or JSON.
//
// Whatever a caller can choose (its id, a model name, an error text that quotes them) is cut, and
// escaped down to printable ASCII: it can forge no line, no field and no terminal sequence.
#ifndef ATTN_SERVER_TELEMETRY_SERVER_LOG_H_
#define ATTN_SERVER_TELEMETRY_SERVER_LOG_H_

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/executor/call_observer.h"
#include "server/telemetry/line_writer.h"

namespace attn {

enum class LogLevel : uint8_t {
  kDebug,    // Every call.
  kInfo,     // The server's own life: start, reload, drain, what an operator changes.
  kWarning,  // Slow calls, faults, a reload that was refused.
  kError,    // What keeps it from serving: a backend that it quarantined itself, none that can.
  kOff,
};
inline constexpr const char* kLogLevelNames[] = {"debug", "info", "warning", "error", "off"};

// INVALID_ARGUMENT naming what is allowed.
absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name);

enum class LogFormat : uint8_t { kText, kJson };

struct LogOptions {
  LogFormat format = LogFormat::kText;
  LogLevel level = LogLevel::kInfo;
  absl::Duration slow_call = absl::InfiniteDuration();  // A call this long is a warning.
  int fd = STDERR_FILENO;                               // Where lines go; borrowed.
};

// Thread-safe. Lines are written by a thread of its own: a log that nobody reads holds up no call,
// and lines over the bounded queue are dropped and counted.
class ServerLog : public CallObserver {
 public:
  // Its end writes what is queued, for a second at most.
  explicit ServerLog(const LogOptions& options);

  LogLevel level() const { return level_; }
  LogLevel SetLevel(LogLevel level) { return level_.exchange(level); }  // Returns the previous one.
  void SetSlowCall(absl::Duration slow_call) {
    slow_call_ns_ = absl::ToInt64Nanoseconds(slow_call);
  }

  // An event of the server itself. `fields` follow the message as key=value.
  using Fields = std::initializer_list<std::pair<absl::string_view, std::string>>;
  void Write(LogLevel level, absl::string_view message, Fields fields = {});

  void OnCallStarted() override {}
  // A slow call and a fault of ours (INTERNAL, UNKNOWN, DATA_LOSS) are warnings, any other a debug
  // line.
  void OnCallEnded(const CallRecord& record) override;
  void OnQueueChanged(const QueueLoad& /*load*/) override {}

  int64_t dropped_lines() const { return writer_.dropped_lines(); }

 private:
  const LogFormat format_;
  std::atomic<LogLevel> level_;
  std::atomic<int64_t> slow_call_ns_;
  LineWriter writer_;
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_SERVER_LOG_H_
