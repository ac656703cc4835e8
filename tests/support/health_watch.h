// What load balancers and Kubernetes do: a stream of grpc.health.v1 that tells of every change.
#ifndef ATTN_TESTS_SUPPORT_HEALTH_WATCH_H_
#define ATTN_TESTS_SUPPORT_HEALTH_WATCH_H_

#include <memory>
#include <string>

#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"

namespace attn {

// Watches the server as a whole. Ends the stream when it goes. One thread's.
class HealthWatch {
 public:
  static constexpr int kServing = 1;  // As grpc.health.v1 numbers them.
  static constexpr int kNotServing = 2;

  explicit HealthWatch(const std::string& address);
  ~HealthWatch();

  // Waits for the next state; -1 once the stream has ended.
  int Next();

 private:
  bool Await();  // The end of the operation in hand, and whether it succeeded.

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_HEALTH_WATCH_H_
