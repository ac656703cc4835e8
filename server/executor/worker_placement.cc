#include "server/executor/worker_placement.h"

#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "kernels/core/status_macros.h"
#include "server/executor/cpu_list.h"

namespace attn {
namespace {

// A bit for each of kMaxCpus: one cpu_set_t has 1024, and a kernel built for more refuses it.
using CpuMask = std::array<cpu_set_t, kMaxCpus / CPU_SETSIZE>;

constexpr int kWordBits = sizeof(unsigned long) * CHAR_BIT;

absl::Status CheckNumber(const char* of, int number, int count) {
  if (number >= 0 && number < count) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(of, " ", number, " is out of range, allowed: 0 to ", count - 1));
}

}  // namespace

absl::StatusOr<std::vector<int>> AllowedCpus() {
  CpuMask mask{};
  if (sched_getaffinity(0, sizeof(mask), mask.data()) != 0) {
    return absl::ErrnoToStatus(errno, "the CPUs of this process cannot be asked for");
  }
  std::vector<int> cpus;
  for (int cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (CPU_ISSET_S(cpu, sizeof(mask), mask.data())) cpus.push_back(cpu);
  }
  return cpus;
}

absl::Status KeepOn(std::thread& thread, std::span<const int> cpus) {
  CpuMask mask{};
  for (const int cpu : cpus) {
    ATTN_RETURN_IF_ERROR(CheckNumber("CPU", cpu, kMaxCpus));
    CPU_SET_S(cpu, sizeof(mask), mask.data());
  }
  const int error = pthread_setaffinity_np(thread.native_handle(), sizeof(mask), mask.data());
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(error,
                             absl::StrCat("a thread cannot be kept on CPUs ", CpuListText(cpus)));
}

absl::Status PreferMemoryOfNode(int node) {
  ATTN_RETURN_IF_ERROR(CheckNumber("NUMA node", node, kMaxNodes));
  std::array<unsigned long, kMaxNodes / kWordBits> nodes{};
  nodes[static_cast<size_t>(node / kWordBits)] = 1UL << (node % kWordBits);
  // One bit more than there are: the kernel takes one less than it is told.
  if (syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes.data(), kMaxNodes + 1UL) == 0) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(
      errno, absl::StrCat("set_mempolicy refuses to prefer the memory of node ", node,
                          " (a container may need the capability SYS_NICE)"));
}

}  // namespace attn
