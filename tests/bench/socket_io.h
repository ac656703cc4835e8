// Whole reads and writes on a stream socket.
#ifndef ATTN_TESTS_BENCH_SOCKET_IO_H_
#define ATTN_TESTS_BENCH_SOCKET_IO_H_

#include <unistd.h>

#include <cstddef>

namespace attn {

inline bool ReadAll(int fd, void* to, size_t size) {
  auto* at = static_cast<std::byte*>(to);
  while (size > 0) {
    const ssize_t count = read(fd, at, size);
    if (count <= 0) return false;
    at += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

inline bool WriteAll(int fd, const void* from, size_t size) {
  const auto* at = static_cast<const std::byte*>(from);
  while (size > 0) {
    const ssize_t count = write(fd, at, size);
    if (count <= 0) return false;
    at += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

}  // namespace attn

#endif  // ATTN_TESTS_BENCH_SOCKET_IO_H_
