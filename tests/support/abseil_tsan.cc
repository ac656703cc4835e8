// Tells ThreadSanitizer what Abseil's locks do.
//
// The system's Abseil is not instrumented, so ThreadSanitizer sees none of its synchronisation and
// takes everything an absl::Mutex guards for a race. The linker's --wrap sends our calls through
// these functions (the list stands in cmake/ThreadSanitizer.cmake), which say what happens and call
// the real ones. What the library does between a `pre` and its `post`, conditions that it evaluates
// included, is left out of the analysis.
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

// Declares the real function and begins its replacement. `symbol` is the mangled name.
#define ATTN_WRAP(result, symbol, ...)            \
  extern "C" result __real_##symbol(__VA_ARGS__); \
  extern "C" result __wrap_##symbol(__VA_ARGS__)

namespace {

using absl::Condition;
using absl::CondVar;
using absl::Duration;
using absl::Mutex;
using absl::Notification;
using absl::Time;

constexpr unsigned kReader = __tsan_mutex_read_lock;

// Gives the lock back before a wait. The wait itself is the `pre` of taking it again.
void BeforeWait(Mutex* mutex) {
  __tsan_mutex_pre_unlock(mutex, 0);
  __tsan_mutex_post_unlock(mutex, 0);
  __tsan_mutex_pre_lock(mutex, 0);
}

void AfterWait(Mutex* mutex) { __tsan_mutex_post_lock(mutex, 0, 0); }

// Notification::HasBeenNotified is inline: its acquiring load of the flag behind the mutex is
// seen, the library's store is not.
void* FlagOf(const Notification* notification) {
  return const_cast<char*>(reinterpret_cast<const char*>(notification)) + sizeof(Mutex);
}

}  // namespace

// Abseil's deadlock detector moves memory under a lock of its own; memmove is seen, the lock is
// not.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libabsl_graphcycles_internal.so\n";
}

ATTN_WRAP(void, _ZN4absl7debian35Mutex4LockEv, Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, 0);
  __real__ZN4absl7debian35Mutex4LockEv(mutex);
  __tsan_mutex_post_lock(mutex, 0, 0);
}

ATTN_WRAP(void, _ZN4absl7debian35Mutex6UnlockEv, Mutex* mutex) {
  __tsan_mutex_pre_unlock(mutex, 0);
  __real__ZN4absl7debian35Mutex6UnlockEv(mutex);
  __tsan_mutex_post_unlock(mutex, 0);
}

ATTN_WRAP(void, _ZN4absl7debian35Mutex10ReaderLockEv, Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, kReader);
  __real__ZN4absl7debian35Mutex10ReaderLockEv(mutex);
  __tsan_mutex_post_lock(mutex, kReader, 0);
}

ATTN_WRAP(void, _ZN4absl7debian35Mutex12ReaderUnlockEv, Mutex* mutex) {
  __tsan_mutex_pre_unlock(mutex, kReader);
  __real__ZN4absl7debian35Mutex12ReaderUnlockEv(mutex);
  __tsan_mutex_post_unlock(mutex, kReader);
}

ATTN_WRAP(void, _ZN4absl7debian35MutexD1Ev, Mutex* mutex) {
  __tsan_mutex_destroy(mutex, 0);
  __real__ZN4absl7debian35MutexD1Ev(mutex);
}

ATTN_WRAP(void, _ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE, Mutex* mutex,
          const Condition& condition) {
  BeforeWait(mutex);
  __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(mutex, condition);
  AfterWait(mutex);
}

ATTN_WRAP(bool, _ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE,
          Mutex* mutex, const Condition& condition, Duration timeout) {
  BeforeWait(mutex);
  const bool met = __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
      mutex, condition, timeout);
  AfterWait(mutex);
  return met;
}

ATTN_WRAP(bool, _ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE, Mutex* mutex,
          const Condition& condition, Time deadline) {
  BeforeWait(mutex);
  const bool met = __real__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE(
      mutex, condition, deadline);
  AfterWait(mutex);
  return met;
}

ATTN_WRAP(void, _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE, CondVar* wake, Mutex* mutex) {
  BeforeWait(mutex);
  __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(wake, mutex);
  AfterWait(mutex);
}

ATTN_WRAP(bool, _ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE, CondVar* wake,
          Mutex* mutex, Duration timeout) {
  BeforeWait(mutex);
  const bool timed_out =
      __real__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE(wake, mutex,
                                                                                  timeout);
  AfterWait(mutex);
  return timed_out;
}

ATTN_WRAP(bool, _ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE, CondVar* wake,
          Mutex* mutex, Time deadline) {
  BeforeWait(mutex);
  const bool timed_out = __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(
      wake, mutex, deadline);
  AfterWait(mutex);
  return timed_out;
}

ATTN_WRAP(void, _ZN4absl7debian312Notification6NotifyEv, Notification* notification) {
  __tsan_release(FlagOf(notification));
  __real__ZN4absl7debian312Notification6NotifyEv(notification);
}

ATTN_WRAP(void, _ZNK4absl7debian312Notification19WaitForNotificationEv,
          const Notification* notification) {
  __real__ZNK4absl7debian312Notification19WaitForNotificationEv(notification);
  __tsan_acquire(FlagOf(notification));
}

ATTN_WRAP(bool, _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE,
          const Notification* notification, Duration timeout) {
  const bool notified =
      __real__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE(
          notification, timeout);
  if (notified) __tsan_acquire(FlagOf(notification));
  return notified;
}
