// Tells ThreadSanitizer what Abseil's locks do.
//
// The system's Abseil is not instrumented, so ThreadSanitizer sees none of its synchronisation and
// takes everything that an absl::Mutex guards for a race. The linker's --wrap (its list stands in
// cmake/ThreadSanitizer.cmake) sends our calls of SYMBOL to __wrap_SYMBOL: the functions here,
// which say what happens and call the real ones as __real_SYMBOL. What the library does between a
// `pre` and its `post`, conditions that it evaluates included, is left out of the analysis.
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace attn {

using absl::Condition;
using absl::CondVar;
using absl::Duration;
using absl::Mutex;
using absl::Notification;
using absl::Time;

void RealLock(Mutex*) __asm__("__real__ZN4absl7debian35Mutex4LockEv");
void RealUnlock(Mutex*) __asm__("__real__ZN4absl7debian35Mutex6UnlockEv");
void RealReaderLock(Mutex*) __asm__("__real__ZN4absl7debian35Mutex10ReaderLockEv");
void RealReaderUnlock(Mutex*) __asm__("__real__ZN4absl7debian35Mutex12ReaderUnlockEv");
void RealDestroy(Mutex*) __asm__("__real__ZN4absl7debian35MutexD1Ev");
void RealAwait(Mutex*,
               const Condition&) __asm__("__real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE");
bool RealAwaitFor(Mutex*, const Condition&, Duration) __asm__(
    "__real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
bool RealAwaitUntil(Mutex*, const Condition&, Time) __asm__(
    "__real__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
void RealWait(CondVar*, Mutex*) __asm__("__real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
bool RealWaitFor(CondVar*, Mutex*, Duration) __asm__(
    "__real__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
bool RealWaitUntil(CondVar*, Mutex*, Time) __asm__(
    "__real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
void RealNotify(Notification*) __asm__("__real__ZN4absl7debian312Notification6NotifyEv");
void RealWaitForNotification(const Notification*) __asm__(
    "__real__ZNK4absl7debian312Notification19WaitForNotificationEv");
bool RealWaitForNotificationFor(const Notification*, Duration) __asm__(
    "__real__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE");

void WrapLock(Mutex*) __asm__("__wrap__ZN4absl7debian35Mutex4LockEv");
void WrapUnlock(Mutex*) __asm__("__wrap__ZN4absl7debian35Mutex6UnlockEv");
void WrapReaderLock(Mutex*) __asm__("__wrap__ZN4absl7debian35Mutex10ReaderLockEv");
void WrapReaderUnlock(Mutex*) __asm__("__wrap__ZN4absl7debian35Mutex12ReaderUnlockEv");
void WrapDestroy(Mutex*) __asm__("__wrap__ZN4absl7debian35MutexD1Ev");
void WrapAwait(Mutex*,
               const Condition&) __asm__("__wrap__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE");
bool WrapAwaitFor(Mutex*, const Condition&, Duration) __asm__(
    "__wrap__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
bool WrapAwaitUntil(Mutex*, const Condition&, Time) __asm__(
    "__wrap__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
void WrapWait(CondVar*, Mutex*) __asm__("__wrap__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
bool WrapWaitFor(CondVar*, Mutex*, Duration) __asm__(
    "__wrap__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
bool WrapWaitUntil(CondVar*, Mutex*, Time) __asm__(
    "__wrap__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
void WrapNotify(Notification*) __asm__("__wrap__ZN4absl7debian312Notification6NotifyEv");
void WrapWaitForNotification(const Notification*) __asm__(
    "__wrap__ZNK4absl7debian312Notification19WaitForNotificationEv");
bool WrapWaitForNotificationFor(const Notification*, Duration) __asm__(
    "__wrap__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE");

namespace {

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

void WrapLock(Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, 0);
  RealLock(mutex);
  __tsan_mutex_post_lock(mutex, 0, 0);
}

void WrapUnlock(Mutex* mutex) {
  __tsan_mutex_pre_unlock(mutex, 0);
  RealUnlock(mutex);
  __tsan_mutex_post_unlock(mutex, 0);
}

void WrapReaderLock(Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, kReader);
  RealReaderLock(mutex);
  __tsan_mutex_post_lock(mutex, kReader, 0);
}

void WrapReaderUnlock(Mutex* mutex) {
  __tsan_mutex_pre_unlock(mutex, kReader);
  RealReaderUnlock(mutex);
  __tsan_mutex_post_unlock(mutex, kReader);
}

void WrapDestroy(Mutex* mutex) {
  __tsan_mutex_destroy(mutex, 0);
  RealDestroy(mutex);
}

void WrapAwait(Mutex* mutex, const Condition& condition) {
  BeforeWait(mutex);
  RealAwait(mutex, condition);
  AfterWait(mutex);
}

bool WrapAwaitFor(Mutex* mutex, const Condition& condition, Duration timeout) {
  BeforeWait(mutex);
  const bool met = RealAwaitFor(mutex, condition, timeout);
  AfterWait(mutex);
  return met;
}

bool WrapAwaitUntil(Mutex* mutex, const Condition& condition, Time deadline) {
  BeforeWait(mutex);
  const bool met = RealAwaitUntil(mutex, condition, deadline);
  AfterWait(mutex);
  return met;
}

void WrapWait(CondVar* wake, Mutex* mutex) {
  BeforeWait(mutex);
  RealWait(wake, mutex);
  AfterWait(mutex);
}

bool WrapWaitFor(CondVar* wake, Mutex* mutex, Duration timeout) {
  BeforeWait(mutex);
  const bool timed_out = RealWaitFor(wake, mutex, timeout);
  AfterWait(mutex);
  return timed_out;
}

bool WrapWaitUntil(CondVar* wake, Mutex* mutex, Time deadline) {
  BeforeWait(mutex);
  const bool timed_out = RealWaitUntil(wake, mutex, deadline);
  AfterWait(mutex);
  return timed_out;
}

void WrapNotify(Notification* notification) {
  __tsan_release(FlagOf(notification));
  RealNotify(notification);
}

void WrapWaitForNotification(const Notification* notification) {
  RealWaitForNotification(notification);
  __tsan_acquire(FlagOf(notification));
}

bool WrapWaitForNotificationFor(const Notification* notification, Duration timeout) {
  const bool notified = RealWaitForNotificationFor(notification, timeout);
  if (notified) __tsan_acquire(FlagOf(notification));
  return notified;
}

}  // namespace attn

// Abseil's deadlock detector moves memory under a lock of its own; memmove is seen, the lock is
// not.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libabsl_graphcycles_internal.so\n";
}
