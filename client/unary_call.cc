#include "client/unary_call.h"

#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/attention_client.h"
#include "client/connection_advice.h"
#include "grpcpp/impl/client_unary_call.h"
#include "grpcpp/impl/rpc_method.h"
#include "server/transport/status_mapping.h"

namespace attn {
namespace {

// Doubled with every retry: long enough for a restarting listener, short beside a timeout.
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(100);

constexpr char kUnreachablePayload[] = "attn.client/unreachable";
constexpr char kRetryAfterMsPayload[] = "attn.client/retry-after-ms";

// The trailer of RESOURCE_EXHAUSTED, made readable.
absl::Status WithRetryHint(absl::Status status, const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto hint = trailers.find("retry-after-ms");
  if (status.ok() || hint == trailers.end()) return status;
  const std::string delay_ms(hint->second.data(), hint->second.size());
  absl::Status hinted(status.code(),
                      absl::StrCat(status.message(), "; retry after ", delay_ms, " ms"));
  hinted.SetPayload(kRetryAfterMsPayload, absl::Cord(delay_ms));
  return hinted;
}

absl::Status WithTimeout(absl::Status status, const UnaryOptions& options, absl::Time deadline,
                         const std::string& address) {
  if (status.code() != absl::StatusCode::kDeadlineExceeded || absl::Now() < deadline) return status;
  return absl::DeadlineExceededError(absl::StrCat(status.message(), " (no answer from ", address,
                                                  " within the timeout of ",
                                                  absl::FormatDuration(options.timeout), ")"));
}

absl::Status RunOnce(Channels& channels, const UnaryOptions& options, absl::Time deadline,
                     UnaryAttempt attempt, AttemptEnded attempt_ended) {
  const std::shared_ptr<grpc::Channel>& channel = channels.Next();
  absl::Status status;
  {
    grpc::ClientContext context;
    if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
    const std::stop_callback cancel(options.cancel, [&context] { context.TryCancel(); });
    status = FromGrpcStatus(attempt(channel, &context));
    status = WithRetryHint(std::move(status), context);
  }
  attempt_ended();
  status = WithConnection(std::move(status), *channel, channels.address());
  return WithTimeout(std::move(status), options, deadline, channels.address());
}

}  // namespace

absl::Status WithConnection(absl::Status status, grpc::Channel& channel,
                            const std::string& address) {
  if (absl::IsResourceExhausted(status)) {
    const absl::string_view advice = ConnectionAdvice(status.message());
    if (advice.empty()) return status;
    return absl::ResourceExhaustedError(absl::StrCat(status.message(), advice));
  }
  if (status.code() != absl::StatusCode::kUnavailable) return status;
  // A server that answers UNAVAILABLE (it drains) has a connection to answer on.
  if (channel.GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY) return status;
  absl::Status unreachable =
      absl::UnavailableError(absl::StrCat("cannot reach a server at ", address, ": ",
                                          status.message(), ConnectionAdvice(status.message())));
  unreachable.SetPayload(kUnreachablePayload, absl::Cord(address));
  return unreachable;
}

bool IsUnreachable(const absl::Status& status) {
  return status.GetPayload(kUnreachablePayload).has_value();
}

std::optional<absl::Duration> RetryHint(const absl::Status& status) {
  const absl::optional<absl::Cord> delay = status.GetPayload(kRetryAfterMsPayload);
  int64_t delay_ms = 0;
  if (!delay.has_value() || !absl::SimpleAtoi(std::string(*delay), &delay_ms)) return std::nullopt;
  return absl::Milliseconds(delay_ms);
}

absl::Status RunUnary(Channels& channels, const UnaryOptions& options, UnaryAttempt attempt,
                      AttemptEnded attempt_ended) {
  const absl::Time deadline = options.timeout > absl::ZeroDuration() ? absl::Now() + options.timeout
                                                                     : absl::InfiniteFuture();
  absl::BitGen random;
  absl::Duration backoff = kFirstBackoff;
  for (int retries_left = options.max_retries;; --retries_left) {
    absl::Status status = RunOnce(channels, options, deadline, attempt, attempt_ended);
    // A quarter either way, so that clients refused together do not come back together.
    const absl::Duration pause = backoff * absl::Uniform(random, 0.75, 1.25);
    if (status.code() != absl::StatusCode::kUnavailable || retries_left <= 0 ||
        absl::Now() + pause >= deadline) {
      return status;
    }
    absl::SleepFor(pause);
    backoff *= 2;
  }
}

absl::Status RunUnary(Channels& channels, const UnaryOptions& options, UnaryAttempt attempt) {
  return RunUnary(channels, options, attempt, [] {});
}

grpc::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context,
                     const char* method, const grpc::ByteBuffer& request,
                     grpc::ByteBuffer* response) {
  const grpc::internal::RpcMethod rpc(method, grpc::internal::RpcMethod::NORMAL_RPC, channel);
  return grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
      channel.get(), rpc, context, request, response);
}

}  // namespace attn
