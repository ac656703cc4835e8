#include "tests/e2e/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/time/clock.h"

namespace attn {
namespace {

std::string PathOf(const std::string& program) {
  return program.find('/') == std::string::npos ? std::string(ATTN_BIN_DIR) + "/" + program
                                                : program;
}

// In the child: never returns.
[[noreturn]] void Exec(const std::string& path, const std::vector<std::string>& arguments,
                       const Process::Environment& environment, int out, int err) {
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv;
  argv.push_back(const_cast<char*>(path.c_str()));
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(path.c_str(), argv.data());
  _exit(127);
}

}  // namespace

Process::Process(const std::string& program, const std::vector<std::string>& arguments,
                 const Environment& environment) {
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) std::abort();
  const std::string path = PathOf(program);
  pid_ = fork();
  if (pid_ == 0) Exec(path, arguments, environment, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Process::~Process() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(out_);
  close(err_);
}

void Process::Signal(int signal) const { kill(pid_, signal); }

// Waits for output and keeps it; false when both streams have ended or the deadline has passed.
bool Process::ReadSome(absl::Time deadline) {
  pollfd streams[] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  const int64_t wait_ms = absl::ToInt64Milliseconds(deadline - absl::Now());
  if (wait_ms <= 0 ||
      poll(streams, 2, static_cast<int>(std::min<int64_t>(wait_ms, 600'000))) <= 0) {
    return false;
  }
  bool open = false;
  const std::pair<pollfd*, std::string*> targets[] = {{&streams[0], &out_text_},
                                                      {&streams[1], &err_text_}};
  for (const auto& [stream, text] : targets) {
    if (stream->revents == 0) {
      open = open || stream->fd >= 0;
      continue;
    }
    char buffer[65536];
    const ssize_t count = read(stream->fd, buffer, sizeof(buffer));
    if (count > 0) {
      text->append(buffer, static_cast<size_t>(count));
      open = true;
    } else {
      int& fd = stream->fd == out_ ? out_ : err_;
      close(fd);
      fd = -1;
    }
  }
  return open;
}

std::string Process::ReadLine(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  while (out_text_.find('\n') == std::string::npos && ReadSome(deadline)) {
  }
  const size_t end = out_text_.find('\n');
  if (end == std::string::npos) return "";
  std::string line = out_text_.substr(0, end);
  out_text_.erase(0, end + 1);
  return line;
}

ProcessOutput Process::Wait(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  while (ReadSome(deadline)) {
  }
  if (absl::Now() >= deadline) kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  ProcessOutput output;
  output.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  output.out = std::move(out_text_);
  output.err = std::move(err_text_);
  return output;
}

ProcessOutput RunProgram(const std::string& program, const std::vector<std::string>& arguments,
                         const Process::Environment& environment) {
  return Process(program, arguments, environment).Wait();
}

}  // namespace attn
