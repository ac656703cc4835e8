// The server's log: one structured line an event, on stderr, as text or JSON.
#ifndef ATTN_SERVER_TELEMETRY_SERVER_LOG_H_
#define ATTN_SERVER_TELEMETRY_SERVER_LOG_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/executor/call_observer.h"

namespace attn {

enum class LogLevel : uint8_t {
  kDebug,    // Every call.
  kInfo,     // The server's own life: start, reload, drain, quarantine.
  kWarning,  // Slow calls, faults, a reload that was refused.
  kError,
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
};

// Thread-safe. Lines are written by a thread of its own: a log that nobody reads holds up no call;
// lines over its bounded queue are dropped and counted.
class ServerLog : public CallObserver {
 public:
  explicit ServerLog(const LogOptions& options);
  ~ServerLog() override;  // Writes what is queued.

  LogLevel level() const;
  LogLevel SetLevel(LogLevel level);  // Returns the previous one.
  void SetSlowCall(absl::Duration slow_call);

  // An event of the server itself. `fields` follow the message as key=value.
  using Fields = std::initializer_list<std::pair<absl::string_view, std::string>>;
  void Write(LogLevel level, absl::string_view message, Fields fields = {});

  void OnCallStarted() override {}
  void OnCallEnded(const CallRecord& record) override;
  void OnQueueChanged(const QueueLoad& /*load*/) override {}

  int64_t dropped_lines() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attn

#endif  // ATTN_SERVER_TELEMETRY_SERVER_LOG_H_
