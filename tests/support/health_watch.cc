#include "tests/support/health_watch.h"

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace attn {

HealthWatch::HealthWatch(const std::string& address)
    : stub_(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())),
      stream_(stub_.PrepareCall(&context_, "/grpc.health.v1.Health/Watch", &queue_)) {
  stream_->StartCall(nullptr);
  if (!Await()) return;
  const grpc::Slice everything;  // HealthCheckRequest { service = ""; }
  stream_->WriteLast(grpc::ByteBuffer(&everything, 1), grpc::WriteOptions(), nullptr);
  Await();
}

HealthWatch::~HealthWatch() {
  context_.TryCancel();
  grpc::Status status;
  stream_->Finish(&status, nullptr);
  Await();
}

int HealthWatch::Next() {
  grpc::ByteBuffer reply;
  stream_->Read(&reply, nullptr);
  grpc::Slice slice;
  if (!Await() || !reply.DumpToSingleSlice(&slice).ok() || slice.size() != 2) return -1;
  return slice.begin()[1];  // HealthCheckResponse { status = 1; }
}

bool HealthWatch::Await() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

}  // namespace attn
