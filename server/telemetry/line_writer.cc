#include "server/telemetry/line_writer.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace attn {
namespace {

constexpr absl::Duration kFarewell = absl::Seconds(1);
// How soon the end is noticed while the descriptor takes nothing.
constexpr int kPollMs = 50;

}  // namespace

LineWriter::LineWriter(int fd) : fd_(fd), thread_([this] { Run(); }) {}

LineWriter::~LineWriter() {
  {
    absl::MutexLock lock(&mutex_);
    stop_by_ = absl::Now() + kFarewell;
  }
  thread_.join();
}

void LineWriter::Write(absl::string_view line) {
  absl::MutexLock lock(&mutex_);
  if (pending_.size() + line.size() >= kMaxPendingBytes) {
    ++dropped_lines_;
    return;
  }
  pending_.append(line.data(), line.size());
  pending_.push_back('\n');
}

int64_t LineWriter::dropped_lines() const {
  absl::MutexLock lock(&mutex_);
  return dropped_lines_;
}

void LineWriter::Run() {
  // A pipe whose reader is gone is an error of write here, not the end of the server.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);

  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !pending_.empty() || stop_by_ < absl::InfiniteFuture();
  };
  absl::MutexLock lock(&mutex_);
  while (true) {
    mutex_.Await(absl::Condition(&has_work));
    if (pending_.empty()) return;
    const std::string text = std::exchange(pending_, {});
    mutex_.Unlock();
    const absl::string_view left = WriteOut(text);
    mutex_.Lock();
    dropped_lines_ += std::count(left.begin(), left.end(), '\n');
  }
}

absl::string_view LineWriter::WriteOut(absl::string_view text) const {
  while (!text.empty()) {
    if (!WaitUntilWritable()) return text;
    // A writable pipe takes as much as this without blocking.
    const ssize_t written = write(fd_, text.data(), std::min<size_t>(text.size(), PIPE_BUF));
    if (written < 0 && errno != EINTR && errno != EAGAIN) return text;
    text.remove_prefix(written < 0 ? 0 : static_cast<size_t>(written));
  }
  return text;
}

bool LineWriter::WaitUntilWritable() const {
  pollfd descriptor{fd_, POLLOUT, 0};
  while (!Expired()) {
    if (poll(&descriptor, 1, kPollMs) > 0) return true;
  }
  return false;
}

bool LineWriter::Expired() const {
  absl::MutexLock lock(&mutex_);
  return absl::Now() >= stop_by_;
}

}  // namespace attn
