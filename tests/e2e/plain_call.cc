#include "tests/e2e/plain_call.h"

#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace attn {

namespace v1 = attention::v1;

v1::AttendRequest PlainRequest(int heads, int tokens) {
  v1::AttendRequest request;
  for (const char* name : {"q", "k", "v"}) {
    v1::Tensor* tensor = request.add_tensors();
    tensor->set_name(name);
    tensor->set_dtype(v1::DATA_TYPE_FP32);
    for (const int size : {1, heads, tokens, 64}) tensor->add_shape(size);
    tensor->set_data(std::string(size_t{4} * heads * tokens * 64, '\0'));
  }
  return request;
}

std::unique_ptr<v1::AttentionService::Stub> ConnectPlain(const std::string& address) {
  return v1::AttentionService::NewStub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
}

std::string PlainAnswer::trailer(const std::string& name) const {
  const auto found = trailers.find(name);
  return found == trailers.end() ? "" : found->second;
}

PlainAnswer Attend(v1::AttentionService::Stub& stub, const v1::AttendRequest& request,
                   const std::vector<std::pair<std::string, std::string>>& metadata) {
  grpc::ClientContext context;
  for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
  v1::AttendResponse response;
  PlainAnswer answer;
  answer.status = stub.Attend(&context, request, &response);
  for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
    answer.trailers.emplace(std::string(name.data(), name.size()),
                            std::string(value.data(), value.size()));
  }
  return answer;
}

}  // namespace attn
