#include "tests/bench/echo_servers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "kernels/core/buffer_pool.h"
#include "proto/attention/v1/attention.grpc.pb.h"
#include "server/services/server.h"
#include "tests/bench/echo_backend.h"
#include "tests/bench/socket_io.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

class NullObserver final : public CallObserver {
 public:
  void OnCallStarted() override {}
  void OnCallEnded(const CallRecord& /*record*/) override {}
  void OnQueueChanged(const QueueLoad& /*load*/) override {}
};

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::cerr << value.status() << "\n";
  std::exit(1);
}

// The same service as most would write it: generated messages in and out.
class ProtobufEcho final : public v1::AttentionService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Attend(grpc::CallbackServerContext* context,
                                   const v1::AttendRequest* request,
                                   v1::AttendResponse* response) override {
    const v1::Tensor& q = request->tensors(0);
    v1::Tensor* out = response->add_outputs();
    out->set_name("out");
    out->set_dtype(q.dtype());
    *out->mutable_shape() = q.shape();
    out->set_data(q.data());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

// Answers every message (8-byte length, bytes) of every connection with itself.
void ServeSocket(int listener) {
  while (true) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) return;
    std::thread([fd] {
      std::vector<std::byte> buffer;
      uint64_t size = 0;
      while (ReadAll(fd, &size, sizeof(size))) {
        buffer.resize(size);
        if (!ReadAll(fd, buffer.data(), size) || !WriteAll(fd, buffer.data(), size)) break;
      }
      close(fd);
    }).detach();
  }
}

std::string ListenTcp(int* listener) {
  *listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(*listener, reinterpret_cast<sockaddr*>(&address), size);
  listen(*listener, 16);
  getsockname(*listener, reinterpret_cast<sockaddr*>(&address), &size);
  return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

std::string ListenUnix(const std::string& path, int* listener) {
  *listener = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  bind(*listener, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  listen(*listener, 16);
  return "unix:" + path;
}

}  // namespace

int ServeEchoes(const std::string& folder) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(CreateEchoBackend());
  const Registry registry = OrDie(Registry::Create(std::move(backends)));
  const auto policy = OrDie(PolicyState::Create("", std::make_shared<PresetTable>()));
  BufferPool buffers(int64_t{2} << 30);
  NullObserver observer;
  const auto executor = OrDie(Executor::Create({}, &observer));
  ReplyLedger replies(int64_t{4} << 30);
  BackendFaults faults(policy.get());
  const ServiceContext services{&registry, policy.get(), executor.get(), &buffers,
                                &faults,   &replies,     &observer};
  const auto attnd = OrDie(
      Server::Start({{"127.0.0.1:0", "unix:" + folder + "/attnd.sock"}, INT32_MAX}, services));

  ProtobufEcho protobuf;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.AddListeningPort("unix:" + folder + "/protobuf.sock", grpc::InsecureServerCredentials());
  builder.RegisterService(&protobuf);
  const std::unique_ptr<grpc::Server> plain = builder.BuildAndStart();

  int tcp = -1;
  int local = -1;
  const std::string socket_tcp = ListenTcp(&tcp);
  const std::string socket_unix = ListenUnix(folder + "/socket.sock", &local);
  std::thread(ServeSocket, tcp).detach();
  std::thread(ServeSocket, local).detach();
  std::cout << attnd->addresses()[0] << " " << attnd->addresses()[1] << " 127.0.0.1:" << port
            << " unix:" << folder << "/protobuf.sock " << socket_tcp << " " << socket_unix
            << std::endl;
  pause();
  return 0;
}

EchoAddresses StartEchoServers(const std::string& program, const std::string& folder) {
  const std::string command = "exec '" + program + "' --serve '" + folder + "'";
  FILE* pipe = popen(command.c_str(), "r");
  char line[4096] = {};
  if (pipe == nullptr || std::fgets(line, sizeof(line), pipe) == nullptr) {
    std::cerr << "the echo servers did not start\n";
    std::exit(1);
  }
  EchoAddresses addresses;
  std::istringstream(line) >> addresses.attnd_tcp >> addresses.attnd_unix >>
      addresses.protobuf_tcp >> addresses.protobuf_unix >> addresses.socket_tcp >>
      addresses.socket_unix;
  return addresses;
}

}  // namespace attn
