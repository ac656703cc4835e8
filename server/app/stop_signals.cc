#include "server/app/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

namespace attn {
namespace {

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

[[noreturn]] void EndBy(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  raise(signal);
  // Still here: the first process of a container, whom no default action ends.
  _exit(128 + signal);
}

}  // namespace

StopSignals::StopSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ = std::thread([this, signals] { Listen(signals); });
}

StopSignals::~StopSignals() {
  {
    const absl::MutexLock lock(&mutex_);
    done_ = true;
  }
  pthread_kill(thread_.native_handle(), SIGHUP);  // Wakes it.
  thread_.join();
}

void StopSignals::Listen(sigset_t signals) {
  while (true) {
    int signal = 0;
    sigwait(&signals, &signal);
    const absl::MutexLock lock(&mutex_);
    if (done_) return;
    if (signal == SIGHUP) {
      reload_ = true;
    } else if (stopping_) {
      EndBy(signal);
    } else {
      stopping_ = true;
    }
  }
}

StopSignals::Event StopSignals::Wait() {
  const absl::MutexLock lock(&mutex_);
  const auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || reload_; };
  mutex_.Await(absl::Condition(&any));
  if (stopping_) return Event::kStop;
  reload_ = false;
  return Event::kReload;
}

bool StopSignals::stopping() const {
  const absl::MutexLock lock(&mutex_);
  return stopping_;
}

}  // namespace attn
