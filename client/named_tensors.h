// Which tensors a call refers to by name.
#ifndef ATTN_CLIENT_NAMED_TENSORS_H_
#define ATTN_CLIENT_NAMED_TENSORS_H_

#include <string>
#include <vector>

#include "proto/attention/v1/attention.pb.h"

namespace attn {

// Everything that fields and options of `request` name: each once, in order of first mention
// (options by name), `q`, `k` and `v` included where one of them is named. A mask expression
// without the form of one, which no server takes, names none.
std::vector<std::string> NamedTensors(const attention::v1::AttendRequest& request);

}  // namespace attn

#endif  // ATTN_CLIENT_NAMED_TENSORS_H_
