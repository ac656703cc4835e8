#include "client/cli/load_signals.h"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>

namespace attn::cli {
namespace {

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&signals, signal);
  return signals;
}

[[noreturn]] void EndBy(int signal) {
  std::signal(signal, SIG_DFL);
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  raise(signal);
  // Still here: the first process of a container, whom no default action ends.
  _exit(128 + signal);
}

}  // namespace

LoadSignals::LoadSignals() {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, &mask_);
  thread_ = std::thread([this] { Listen(); });
}

LoadSignals::~LoadSignals() {
  done_ = true;
  pthread_kill(thread_.native_handle(), SIGTERM);  // Wakes it.
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

// The next signal; 0 once the limit is over, if there is one.
int LoadSignals::Take(const timespec* limit) const {
  const sigset_t signals = Signals();
  while (true) {
    const int signal =
        limit == nullptr ? sigwaitinfo(&signals, nullptr) : sigtimedwait(&signals, nullptr, limit);
    if (signal > 0) return signal;
    if (errno == EAGAIN) return 0;
  }
}

void LoadSignals::Listen() {
  constexpr timespec kAnswerGrace = {.tv_sec = kAnswerGraceS, .tv_nsec = 0};
  int signal = Take(nullptr);
  if (!done_ && deferred_) {
    stop_.request_stop();
    signal = Take(&kAnswerGrace);
    if (signal == 0) {
      cancel_.request_stop();
      signal = Take(nullptr);
    }
  }
  if (!done_) EndBy(signal);
}

}  // namespace attn::cli
