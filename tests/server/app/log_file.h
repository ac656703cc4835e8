// A log whose lines a test reads.
#ifndef ATTN_TESTS_SERVER_APP_LOG_FILE_H_
#define ATTN_TESTS_SERVER_APP_LOG_FILE_H_

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "server/telemetry/server_log.h"

namespace attn {

class LogFile {
 public:
  explicit LogFile(LogLevel level = LogLevel::kDebug) : file_(std::tmpfile()) {
    LogOptions options;
    options.level = level;
    options.fd = fileno(file_);
    log_ = std::make_unique<ServerLog>(options);
  }
  ~LogFile() {
    log_.reset();
    std::fclose(file_);
  }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  ServerLog* log() { return log_.get(); }

  // Everything that was written. Ends the log.
  std::string Close() {
    log_.reset();
    std::string text(1 << 20, '\0');
    text.resize(static_cast<size_t>(pread(fileno(file_), text.data(), text.size(), 0)));
    return text;
  }

 private:
  FILE* const file_;
  std::unique_ptr<ServerLog> log_;
};

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_APP_LOG_FILE_H_
