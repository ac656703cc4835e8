#include "client/cli/child_process.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <optional>

#include "absl/strings/str_cat.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn::cli {
namespace {

// Between two looks at the child and two ticks.
constexpr timespec kTickInterval = {.tv_sec = 0, .tv_nsec = 200'000'000};

sigset_t WaitedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  return signals;
}

// `NAME=VALUE` lines of our environment with `variables` in place of the same names.
std::vector<std::string> Environment(const std::map<std::string, std::string>& variables) {
  std::vector<std::string> lines;
  for (char** line = environ; *line != nullptr; ++line) {
    const std::string text(*line);
    if (!variables.contains(text.substr(0, text.find('=')))) lines.push_back(text);
  }
  for (const auto& [name, value] : variables) lines.push_back(absl::StrCat(name, "=", value));
  return lines;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::StatusOr<pid_t> Spawn(std::vector<std::string> command,
                            std::vector<std::string> environment) {
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int error = posix_spawnp(&child, command[0].c_str(), nullptr, &attributes,
                                 Pointers(command).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  if (error == 0) return child;
  const std::string message =
      absl::StrCat("cannot run ", Quoted(command[0]), ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(message) : absl::FailedPreconditionError(message);
}

// The exit code of a child that has ended; nullopt while it runs. INTERNAL if somebody else has
// taken its end: it will never come.
absl::StatusOr<std::optional<int>> Reap(pid_t child) {
  int state = 0;
  const pid_t ended = waitpid(child, &state, WNOHANG);
  if (ended < 0) {
    return absl::InternalError(
        absl::StrCat("the end of process ", child, " was missed: ", std::strerror(errno)));
  }
  if (ended == 0) return std::nullopt;
  return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

}  // namespace

void BlockForwardedSignals() {
  const sigset_t signals = WaitedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

absl::StatusOr<int> RunChild(const std::vector<std::string>& command,
                             const std::map<std::string, std::string>& variables,
                             const std::function<void()>& tick) {
  // Where our parent has us ignore it, the kernel would throw the child's exit code away.
  std::signal(SIGCHLD, SIG_DFL);
  ATTN_ASSIGN_OR_RETURN(const pid_t child, Spawn(command, Environment(variables)));
  const sigset_t signals = WaitedSignals();
  while (true) {
    ATTN_ASSIGN_OR_RETURN(const std::optional<int> exit_code, Reap(child));
    if (exit_code.has_value()) return *exit_code;
    tick();
    siginfo_t info;
    const int signal = sigtimedwait(&signals, &info, &kTickInterval);
    // The kernel sends a terminal's signals (positive codes) to the child as well.
    if (signal > 0 && signal != SIGCHLD && info.si_code <= 0) kill(child, signal);
  }
}

}  // namespace attn::cli
