// What a load is made of: kinds of calls and how often each is made. On disk a JSON file, whose
// keys docs/load-testing.md lists.
#ifndef ATTN_CLIENT_LOAD_WORKLOAD_H_
#define ATTN_CLIENT_LOAD_WORKLOAD_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/load/tensor_spec.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::load {

// Each entry has a histogram and payloads of its own.
inline constexpr size_t kMaxEntries = 256;

// One kind of call.
struct Entry {
  std::string name;                      // For reports.
  double weight = 1;                     // Its share of the calls, beside those of the others.
  attention::v1::AttendRequest request;  // Without tensors.
  std::vector<TensorSpec> tensors;       // q, k, v and those that options name.
};

struct Workload {
  std::vector<Entry> entries;
};

// Every error names the file, the place in it, the value and what is allowed. Shapes that no server
// would take are refused here.
absl::StatusOr<Workload> ReadWorkload(const std::string& path);

// Adds an entry to the workload file, which is created if absent. The tensors' data is not kept.
// Errors as of ReadWorkload, if the file is there already or would not read back.
absl::Status RecordEntry(const std::string& path, const Entry& entry);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_WORKLOAD_H_
