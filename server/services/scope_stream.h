// Streams that hold scoped overrides open.
#ifndef ATTN_SERVER_SERVICES_SCOPE_STREAM_H_
#define ATTN_SERVER_SERVICES_SCOPE_STREAM_H_

#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "kernels/core/registry.h"
#include "server/policy/policy_state.h"

namespace attn {

// Raw, as every method (attention_service.h): HoldScopeRequest in, HoldScopeResponse out.
using ScopeReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// All open scope streams of a server. Thread-safe; outlives the gRPC server.
class ScopeStreams {
 public:
  // Borrows both.
  ScopeStreams(PolicyState* policy, const Registry* registry);
  ~ScopeStreams();

  // A reactor that opens a scope on the first message and ends it with the stream. Deletes itself.
  ScopeReactor* Start(ScopeKind kind);

  // A reactor that ends its stream with `status` and opens nothing. Deletes itself.
  static ScopeReactor* Refuse(const absl::Status& status);

  // Ends every scope with UNAVAILABLE, now and from now on: the server is about to stop.
  void EndAll();

 private:
  class Stream;
  void Remove(Stream* stream);

  PolicyState* const policy_;
  const Registry* const registry_;
  absl::Mutex mutex_;
  std::set<std::shared_ptr<Stream>> open_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_SCOPE_STREAM_H_
