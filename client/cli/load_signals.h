// The signals that end a load: the first one in order, so that what was measured is reported.
#ifndef ATTN_CLIENT_CLI_LOAD_SIGNALS_H_
#define ATTN_CLIENT_CLI_LOAD_SIGNALS_H_

#include <atomic>
#include <csignal>
#include <ctime>
#include <stop_token>
#include <thread>

namespace attn::cli {

// SIGINT and SIGTERM, taken by one thread while this object lives. Before Defer either ends the
// process at once, as ever. From then on the first one asks to stop, and what has not been answered
// kAnswerGraceS later is cancelled; a second one ends the process at once.
class LoadSignals {
 public:
  // Long beside a call, short beside a person's patience.
  static constexpr int kAnswerGraceS = 5;

  // The calling thread and all that it starts leave the signals to this object's thread: create it
  // before any of them, and destroy it in the same thread.
  LoadSignals();
  ~LoadSignals();
  LoadSignals(const LoadSignals&) = delete;
  LoadSignals& operator=(const LoadSignals&) = delete;

  void Defer() { deferred_ = true; }

  // For what makes calls: no more of them.
  std::stop_token stop() const { return stop_.get_token(); }
  // For the calls themselves.
  std::stop_token cancel() const { return cancel_.get_token(); }

 private:
  void Listen();
  int Take(const timespec* limit) const;

  std::atomic<bool> deferred_ = false;
  std::atomic<bool> done_ = false;
  std::stop_source stop_;
  std::stop_source cancel_;
  sigset_t mask_;  // Of the calling thread, before.
  std::thread thread_;
};

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_LOAD_SIGNALS_H_
