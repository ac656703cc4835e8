// Calls as a client in any language makes them: generated protobuf and gRPC, nothing of ours.
#ifndef ATTN_TESTS_E2E_PLAIN_CALL_H_
#define ATTN_TESTS_E2E_PLAIN_CALL_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpcpp/support/status.h"
#include "proto/attention/v1/attention.grpc.pb.h"

namespace attn {

// q, k and v of zeros, fp32 [1, heads, tokens, 64]; 8 heads of 4096 tokens take about a second on
// two cores.
attention::v1::AttendRequest PlainRequest(int heads = 1, int tokens = 2);

std::unique_ptr<attention::v1::AttentionService::Stub> ConnectPlain(const std::string& address);

// One call's status and its trailers.
struct PlainAnswer {
  grpc::Status status;
  std::multimap<std::string, std::string> trailers;

  // The first of that name; "" if there is none.
  std::string trailer(const std::string& name) const;
};

PlainAnswer Attend(attention::v1::AttentionService::Stub& stub,
                   const attention::v1::AttendRequest& request,
                   const std::vector<std::pair<std::string, std::string>>& metadata = {});

}  // namespace attn

#endif  // ATTN_TESTS_E2E_PLAIN_CALL_H_
