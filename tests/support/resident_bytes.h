// How much memory this process holds.
#ifndef ATTN_TESTS_SUPPORT_RESIDENT_BYTES_H_
#define ATTN_TESTS_SUPPORT_RESIDENT_BYTES_H_

#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace attn {

inline int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_RESIDENT_BYTES_H_
