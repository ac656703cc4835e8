# Under ThreadSanitizer every program sends its calls of Abseil's locks through
# tests/support/abseil_tsan.cc, which says why. The functions are named as Debian's Abseil mangles
# them; one that is missing here shows as false races.
add_library(attn_abseil_tsan STATIC ${PROJECT_SOURCE_DIR}/tests/support/abseil_tsan.cc)
target_compile_options(attn_abseil_tsan PRIVATE -fsanitize=thread)
target_link_libraries(attn_abseil_tsan PUBLIC absl::synchronization)
foreach(symbol
    _ZN4absl7debian35Mutex4LockEv
    _ZN4absl7debian35Mutex6UnlockEv
    _ZN4absl7debian35Mutex10ReaderLockEv
    _ZN4absl7debian35Mutex12ReaderUnlockEv
    _ZN4absl7debian35MutexD1Ev
    _ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE
    _ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE
    _ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE
    _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE
    _ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE
    _ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE
    _ZN4absl7debian312Notification6NotifyEv
    _ZNK4absl7debian312Notification19WaitForNotificationEv
    _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)
  target_link_options(attn_abseil_tsan INTERFACE -Wl,--wrap=${symbol})
endforeach()
# The system's own libraries go on calling the real functions, which the linker takes for an error.
target_link_options(attn_abseil_tsan INTERFACE -Wl,--allow-shlib-undefined)
target_link_libraries(attn_build_flags INTERFACE attn_abseil_tsan)
