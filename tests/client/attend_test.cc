#include <atomic>
#include <memory>
#include <span>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/attention_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"
#include "tests/client/scoped_environment.h"

namespace attn {
namespace {

using attention::v1::AttendRequest;
using attention::v1::AttendResponse;
using testing::HasSubstr;

std::vector<std::byte> Bytes(size_t size) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 131 + i / 251) & 0xff);
  return bytes;
}

std::string Text(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

ClientTensor Int8(const std::string& name, const std::vector<std::byte>& data) {
  return {.name = name,
          .dtype = DType::kInt8,
          .shape = {static_cast<int64_t>(data.size())},
          .data = data};
}

AttendArguments SmallCall(const std::vector<std::byte>& data) {
  AttendArguments call;
  call.tensors = {Int8("q", data)};
  return call;
}

// ---- payloads ----

struct PayloadCase {
  const char* name;
  bool unix_socket;
  size_t bytes;
};

class Payload : public testing::TestWithParam<PayloadCase> {};

TEST_P(Payload, ArrivesByteForByteBothWays) {
  FakeAttention service;
  std::string received;
  service.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                       AttendResponse* response) {
    received = request.tensors(0).data();
    return EchoQuery(context, request, response);
  };
  const FakeServer server({&service});
  const auto client = *AttentionClient::Create(
      {.server = GetParam().unix_socket ? server.unix_socket() : server.tcp()});
  const std::vector<std::byte> data = Bytes(GetParam().bytes);
  const absl::StatusOr<AttendResult> result = client->Attend(SmallCall(data), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(received == Text(data));
  const ReceivedTensor* out = result->Find("out");
  ASSERT_NE(out, nullptr);
  EXPECT_TRUE(Text({out->data.data(), static_cast<size_t>(out->data.size())}) == Text(data));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(out->data.data()) % 64, 0);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Payload,
                         testing::ValuesIn(std::vector<PayloadCase>{
                             {"empty", false, 0},
                             {"one_byte", false, 1},
                             {"inlined_in_a_slice", false, 23},
                             {"one_frame", false, 16384},
                             {"many_frames", false, (size_t{9} << 20) + 13},
                             {"unix_socket", true, (size_t{5} << 20) + 1}}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Attend, SendsTheHeadersOfTensorsAndTheSmallFields) {
  FakeAttention service;
  AttendRequest received;
  service.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                       AttendResponse* response) {
    received = request;
    return EchoQuery(context, request, response);
  };
  const FakeServer server({&service});
  const std::vector<std::byte> data = Bytes(2 * 3 * 8 * 2);
  AttendArguments call;
  call.request.set_backend("flash");
  call.request.mutable_mask()->set_causal(true);
  call.tensors = {{.name = "q",
                   .dtype = DType::kBFloat16,
                   .shape = {2, 3, 8},
                   .pattern = "b s (h d)",
                   .heads = 4,
                   .data = data},
                  {.name = "bias", .dtype = DType::kInt8, .shape = {3}, .data = {data.data(), 3}}};
  const auto result = server.Connect()->Attend(call, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(received.backend(), "flash");
  EXPECT_TRUE(received.mask().causal());
  ASSERT_EQ(received.tensors_size(), 2);
  EXPECT_EQ(received.tensors(0).dtype(), attention::v1::DATA_TYPE_BF16);
  EXPECT_THAT(received.tensors(0).shape(), testing::ElementsAre(2, 3, 8));
  EXPECT_EQ(received.tensors(0).pattern(), "b s (h d)");
  EXPECT_EQ(received.tensors(0).heads(), 4);
  EXPECT_EQ(received.tensors(1).name(), "bias");
  EXPECT_EQ(received.tensors(1).data().size(), 3);

  EXPECT_EQ(result->selection.backend(), "flash");
  EXPECT_EQ(result->metrics.kernel_ns(), 4'000'000);
  EXPECT_EQ(result->Find("out")->pattern, "b s (h d)");
  EXPECT_EQ(result->Find("out")->heads, 4);
  EXPECT_EQ(result->Find("lse"), nullptr);
  EXPECT_GT(result->client_total, result->client_decode);
}

TEST(Attend, RefusesAPayloadThatIsNotItsShapeBeforeSending) {
  FakeAttention service;
  std::atomic<int> calls = 0;
  service.attend = [&](auto*, const auto&, auto*) {
    ++calls;
    return grpc::Status::OK;
  };
  const FakeServer server({&service});
  const auto client = server.Connect();
  const std::vector<std::byte> data = Bytes(16);
  const struct {
    std::vector<int64_t> shape;
    DType dtype;
    const char* text;
  } cases[] = {
      {{4}, DType::kBFloat16, "tensor 'q': payload has 16 bytes, but shape [4] of bf16 needs 8"},
      {{3, 3}, DType::kBFloat16, "needs 18"},
      {{-1, 16}, DType::kInt8, "shape [-1, 16] is negative or too large"},
      {{int64_t{1} << 40, int64_t{1} << 40}, DType::kInt8, "negative or too large"},
      {{int64_t{1} << 62}, DType::kInt64, "negative or too large"},
  };
  for (const auto& c : cases) {
    AttendArguments call;
    call.tensors = {{.name = "q", .dtype = c.dtype, .shape = c.shape, .data = data}};
    const absl::Status status = client->Attend(call, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.text));
  }
  AttendArguments misplaced = SmallCall(data);
  misplaced.request.add_tensors()->set_name("k");
  EXPECT_EQ(client->Attend(misplaced, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(calls, 0);
}

// ---- errors ----

TEST(Attend, AnswersWithTheServersStatus) {
  FakeAttention service;
  grpc::StatusCode code = grpc::StatusCode::OK;
  service.attend = [&](auto*, const auto&, auto*) { return grpc::Status(code, "the reason"); };
  const FakeServer server({&service});
  const auto client = server.Connect();
  const std::vector<std::byte> data = Bytes(8);
  for (const auto c : {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::NOT_FOUND,
                       grpc::StatusCode::FAILED_PRECONDITION, grpc::StatusCode::RESOURCE_EXHAUSTED,
                       grpc::StatusCode::UNIMPLEMENTED, grpc::StatusCode::DEADLINE_EXCEEDED,
                       grpc::StatusCode::CANCELLED, grpc::StatusCode::INTERNAL}) {
    code = c;
    const absl::Status status = client->Attend(SmallCall(data), {}).status();
    EXPECT_EQ(static_cast<int>(status.code()), static_cast<int>(c));
    EXPECT_EQ(status.message(), "the reason");
    EXPECT_FALSE(IsUnreachable(status));
  }
}

TEST(Attend, TellsWhenToComeBack) {
  FakeAttention service;
  service.attend = [](grpc::ServerContext* context, const auto&, auto*) {
    context->AddTrailingMetadata("retry-after-ms", "250");
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full");
  };
  const FakeServer server({&service});
  const std::vector<std::byte> data = Bytes(8);
  const absl::Status status = server.Connect()->Attend(SmallCall(data), {}).status();
  EXPECT_EQ(status.message(), "the queue is full; retry after 250 ms");
}

struct RetryCase {
  const char* name;
  grpc::StatusCode code;
  int failures;  // Attempts that are answered with `code`.
  int max_retries;
  int attempts;  // Expected.
  bool ok;       // Expected.
};

class Retry : public testing::TestWithParam<RetryCase> {};

TEST_P(Retry, OnlyAfterUnavailable) {
  FakeAttention service;
  std::atomic<int> attempts = 0;
  service.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                       AttendResponse* response) {
    if (++attempts <= GetParam().failures) return grpc::Status(GetParam().code, "draining");
    return EchoQuery(context, request, response);
  };
  const FakeServer server({&service});
  const auto client = server.Connect({.max_retries = GetParam().max_retries});
  const std::vector<std::byte> data = Bytes(100);
  const auto result = client->Attend(SmallCall(data), {});
  EXPECT_EQ(attempts, GetParam().attempts);
  EXPECT_EQ(result.ok(), GetParam().ok) << result.status();
  EXPECT_FALSE(IsUnreachable(result.status())) << "the server did answer";
}

INSTANTIATE_TEST_SUITE_P(
    Codes, Retry,
    testing::ValuesIn(std::vector<RetryCase>{
        {"unavailable_twice", grpc::StatusCode::UNAVAILABLE, 2, 2, 3, true},
        {"unavailable_for_good", grpc::StatusCode::UNAVAILABLE, 9, 2, 3, false},
        {"no_retries_wanted", grpc::StatusCode::UNAVAILABLE, 1, 0, 1, false},
        {"resource_exhausted", grpc::StatusCode::RESOURCE_EXHAUSTED, 1, 2, 1, false},
        {"internal", grpc::StatusCode::INTERNAL, 1, 2, 1, false},
        {"deadline_exceeded", grpc::StatusCode::DEADLINE_EXCEEDED, 1, 2, 1, false},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Attend, NamesTheServerThatItCannotReach) {
  const std::string address = ClosedAddress();
  const auto client = *AttentionClient::Create({.server = address, .max_retries = 1});
  const std::vector<std::byte> data = Bytes(8);
  const absl::Status status = client->Attend(SmallCall(data), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("server at ", address)));
  EXPECT_TRUE(IsUnreachable(status));
}

TEST(Attend, GivesThePayloadBackWhenItsTimeIsOver) {
  FakeAttention service;
  service.attend = [](grpc::ServerContext* context, const auto&, auto*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  const FakeServer server({&service});
  const auto client = server.Connect();
  auto data = std::make_unique<std::vector<std::byte>>(Bytes(size_t{32} << 20));
  const absl::Status status =
      client->Attend(SmallCall(*data), {.timeout = absl::Milliseconds(20)}).status();
  data.reset();  // The sanitizers see any later use.
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr(server.tcp()));
  EXPECT_THAT(std::string(status.message()), HasSubstr("20ms"));

  service.attend = EchoQuery;
  const std::vector<std::byte> small = Bytes(10);
  EXPECT_TRUE(client->Attend(SmallCall(small), {}).ok()) << "the client works on";
}

TEST(Attend, ServesManyThreadsOverManyConnections) {
  FakeAttention service;
  const FakeServer server({&service});
  const auto client = server.Connect({.connections = 3});
  std::atomic<int> correct = 0;
  std::vector<std::thread> threads;
  threads.reserve(6);
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::byte> data(100'000, static_cast<std::byte>(t));
      for (int i = 0; i < 20; ++i) {
        const auto result = client->Attend(SmallCall(data), {});
        if (!result.ok()) continue;
        const ReceivedTensor& out = *result->Find("out");
        if (Text({out.data.data(), static_cast<size_t>(out.data.size())}) == Text(data)) ++correct;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(correct, 6 * 20);
}

// ---- scopes by environment ----

TEST(Attend, CarriesTheScopeOfTheEnvironmentUnlessTheCallNamesOne) {
  FakeAttention service;
  std::string received;
  service.attend = [&](grpc::ServerContext* context, const AttendRequest& request,
                       AttendResponse* response) {
    received = request.scope_id();
    return EchoQuery(context, request, response);
  };
  const FakeServer server({&service});
  const std::vector<std::byte> data = Bytes(8);
  const ScopedVariable variable("ATTN_SCOPE", "from-environment");
  const auto client = server.Connect();
  ASSERT_TRUE(client->Attend(SmallCall(data), {}).ok());
  EXPECT_EQ(received, "from-environment");
  ASSERT_TRUE(client->Explain({}).ok());
  EXPECT_EQ(service.explained.call().scope_id(), "from-environment");

  AttendArguments call = SmallCall(data);
  call.request.set_scope_id("own");
  ASSERT_TRUE(client->Attend(call, {}).ok());
  EXPECT_EQ(received, "own");
}

// ---- malformed answers ----

// Answers Attend with these bytes, whatever they are.
class RawAttention : public attention::v1::AttentionService::WithRawCallbackMethod_Attend<
                         attention::v1::AttentionService::Service> {
 public:
  std::string answer;

  grpc::ServerUnaryReactor* Attend(grpc::CallbackServerContext* context, const grpc::ByteBuffer*,
                                   grpc::ByteBuffer* response) override {
    const grpc::Slice slice(answer);
    *response = grpc::ByteBuffer(&slice, 1);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

std::string Answer(attention::v1::DataType dtype, std::vector<int64_t> shape, size_t bytes) {
  AttendResponse response;
  attention::v1::Tensor& tensor = *response.add_outputs();
  tensor.set_name("out");
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  tensor.set_data(std::string(bytes, 'x'));
  return response.SerializeAsString();
}

TEST(Attend, CallsAMalformedAnswerAnInternalError) {
  RawAttention service;
  const FakeServer server({&service});
  const auto client = server.Connect();
  const std::vector<std::byte> data = Bytes(8);
  const std::string good = Answer(attention::v1::DATA_TYPE_INT8, {100}, 100);
  service.answer = good;
  ASSERT_TRUE(client->Attend(SmallCall(data), {}).ok());
  const struct {
    const char* name;
    std::string answer;
  } cases[] = {
      {"garbage", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
      {"truncated", good.substr(0, good.size() - 1)},
      {"payload too short", Answer(attention::v1::DATA_TYPE_FP32, {4}, 15)},
      {"payload too long", Answer(attention::v1::DATA_TYPE_FP32, {4}, 17)},
      {"negative shape", Answer(attention::v1::DATA_TYPE_INT8, {-4}, 4)},
      {"overflowing shape",
       Answer(attention::v1::DATA_TYPE_INT64, {int64_t{1} << 40, int64_t{1} << 40}, 4)},
      {"no dtype", Answer(attention::v1::DATA_TYPE_UNSPECIFIED, {4}, 4)},
      {"unknown dtype", Answer(static_cast<attention::v1::DataType>(99), {4}, 4)},
  };
  for (const auto& c : cases) {
    service.answer = c.answer;
    const absl::Status status = client->Attend(SmallCall(data), {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << c.name << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("malformed response")) << c.name;
  }
}

}  // namespace
}  // namespace attn
