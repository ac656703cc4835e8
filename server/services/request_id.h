// The name under which a call is found again in the logs of its caller, of proxies and of this
// server.
#ifndef ATTN_SERVER_SERVICES_REQUEST_ID_H_
#define ATTN_SERVER_SERVICES_REQUEST_ID_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"

namespace attn {

// A request id is a line of a log; 128 bytes hold two UUIDs and a prefix.
inline constexpr size_t kMaxRequestIdBytes = 128;

struct RequestId {
  std::string id;
  // Why the caller's own x-request-id was not taken; empty where it was, or none was given.
  std::string refused;
};

// The first of: `given` (metadata x-request-id; 1 to kMaxRequestIdBytes of printable ASCII), the
// trace id of `traceparent` (W3C Trace Context; one that is invalid is ignored, as that standard
// asks), 128 random bits in hex. Empty = not given.
RequestId ChooseRequestId(absl::string_view given, absl::string_view traceparent);

// Of a call's metadata, where the first of several values counts.
RequestId ReadRequestId(const grpc::CallbackServerContext& context);

// Sends it back as trailer x-request-id, and what was wrong with the given one as
// x-request-id-refused. Before Finish.
void EchoRequestId(const RequestId& id, grpc::CallbackServerContext* context);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_REQUEST_ID_H_
