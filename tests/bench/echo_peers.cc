#include "tests/bench/echo_peers.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/attention_client.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "proto/attention/v1/attention.grpc.pb.h"
#include "tests/bench/socket_io.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using Clock = std::chrono::steady_clock;

constexpr int64_t kHeadDim = 256;  // q [1, 1, bytes / 1 KiB, 256] of fp32; k and v one token each

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

absl::Status CheckReply(std::span<const std::byte> sent, const void* data, size_t size) {
  const auto* reply = static_cast<const std::byte*>(data);
  if (size != sent.size() || std::memcmp(reply, sent.data(), 512) != 0 ||
      std::memcmp(reply + size - 512, sent.data() + size - 512, 512) != 0) {
    return absl::DataLossError("the reply is not what was sent");
  }
  return absl::OkStatus();
}

class AttndPeer final : public EchoPeer {
 public:
  explicit AttndPeer(const std::string& address) {
    ClientOptions options;
    options.server = address;
    client_ = *AttentionClient::Create(options);
  }

  absl::StatusOr<double> Echo(std::span<const std::byte> bytes) override {
    AttendArguments call;
    const int64_t rows = static_cast<int64_t>(bytes.size()) / (kHeadDim * 4);
    call.tensors = {Part("q", rows, bytes), Part("k", 1, bytes), Part("v", 1, bytes)};
    const auto start = Clock::now();
    const absl::StatusOr<AttendResult> result = client_->Attend(call, {});
    const double seconds = SecondsSince(start);
    if (!result.ok()) return result.status();
    const BufferPool::Lease& data = result->outputs[0].data;
    const absl::Status check = CheckReply(bytes, data.data(), static_cast<size_t>(data.size()));
    if (!check.ok()) return check;
    return seconds;
  }

 private:
  static ClientTensor Part(const char* name, int64_t rows, std::span<const std::byte> bytes) {
    ClientTensor tensor;
    tensor.name = name;
    tensor.shape = {1, 1, rows, kHeadDim};
    tensor.data = bytes.first(static_cast<size_t>(rows * kHeadDim * 4));
    return tensor;
  }

  std::unique_ptr<AttentionClient> client_;
};

class ProtobufPeer final : public EchoPeer {
 public:
  explicit ProtobufPeer(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    stub_ = v1::AttentionService::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }

  absl::StatusOr<double> Echo(std::span<const std::byte> bytes) override {
    const auto start = Clock::now();
    v1::AttendRequest request;
    v1::Tensor* q = request.add_tensors();
    q->set_name("q");
    q->set_dtype(v1::DATA_TYPE_FP32);
    q->add_shape(static_cast<int64_t>(bytes.size()) / 4);
    q->set_data(bytes.data(), bytes.size());
    v1::AttendResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->Attend(&context, request, &response);
    const double seconds = SecondsSince(start);
    if (!status.ok()) return absl::UnknownError(status.error_message());
    const std::string& data = response.outputs(0).data();
    const absl::Status check = CheckReply(bytes, data.data(), data.size());
    if (!check.ok()) return check;
    return seconds;
  }

 private:
  std::unique_ptr<v1::AttentionService::Stub> stub_;
};

int ConnectSocket(const std::string& address) {
  if (address.rfind("unix:", 0) == 0) {
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, address.c_str() + 5, sizeof(to.sun_path) - 1);
    return connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0 ? fd : -1;
  }
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
  return connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0 ? fd : -1;
}

class SocketPeer final : public EchoPeer {
 public:
  explicit SocketPeer(const std::string& address) : fd_(ConnectSocket(address)) {}
  ~SocketPeer() override { close(fd_); }

  absl::StatusOr<double> Echo(std::span<const std::byte> bytes) override {
    reply_.resize(bytes.size());
    const uint64_t size = bytes.size();
    const auto start = Clock::now();
    const bool done = WriteAll(fd_, &size, sizeof(size)) && WriteAll(fd_, bytes.data(), size) &&
                      ReadAll(fd_, reply_.data(), size);
    const double seconds = SecondsSince(start);
    if (!done) return absl::UnavailableError("the socket broke");
    const absl::Status check = CheckReply(bytes, reply_.data(), reply_.size());
    if (!check.ok()) return check;
    return seconds;
  }

 private:
  const int fd_;
  std::vector<std::byte> reply_;
};

// Speaks one line a round with the Python client: a size goes in, seconds come out.
class FlightPeer final : public EchoPeer {
 public:
  explicit FlightPeer(const std::string& command) {
    int in[2];
    int out[2];
    if (pipe(in) != 0 || pipe(out) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      for (const int fd : {in[0], in[1], out[0], out[1]}) close(fd);
      execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_ = fdopen(in[1], "w");
    from_ = fdopen(out[0], "r");
  }
  ~FlightPeer() override {
    std::fclose(to_);
    std::fclose(from_);
    waitpid(pid_, nullptr, 0);
  }

  absl::StatusOr<double> Echo(std::span<const std::byte> bytes) override {
    std::fprintf(to_, "%zu\n", bytes.size());
    std::fflush(to_);
    double seconds = 0;
    if (std::fscanf(from_, "%lf", &seconds) != 1) {
      return absl::UnavailableError("the Flight client ended");
    }
    return seconds;
  }

 private:
  pid_t pid_ = -1;
  FILE* to_ = nullptr;
  FILE* from_ = nullptr;
};

}  // namespace

std::unique_ptr<EchoPeer> CreateAttndPeer(const std::string& address) {
  return std::make_unique<AttndPeer>(address);
}
std::unique_ptr<EchoPeer> CreateProtobufPeer(const std::string& address) {
  return std::make_unique<ProtobufPeer>(address);
}
std::unique_ptr<EchoPeer> CreateSocketPeer(const std::string& address) {
  return std::make_unique<SocketPeer>(address);
}
std::unique_ptr<EchoPeer> CreateFlightPeer(const std::string& command) {
  return std::make_unique<FlightPeer>(command);
}

}  // namespace attn
