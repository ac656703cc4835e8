#include "server/services/channel_limits.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace attn {
namespace {

// A peer that vanished without closing its connection (power, network) is found out after this
// long, and its scopes end.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// Pings more often than this from a client cost it a strike each; one strike more than allowed
// closes its connection with ENHANCE_YOUR_CALM.
constexpr int kMinClientPingIntervalMs = 5'000;
constexpr int kMaxPingStrikes = 2;
// From connecting to the end of the TLS handshake and the first settings: a connection that says
// nothing is gone after this. gRPC's default is two minutes.
constexpr int kHandshakeTimeoutMs = 10'000;
// All headers of a call together: a token, a request id and a trace context have under 1 KiB.
constexpr int kMaxMetadataBytes = 8 << 10;
// Reflection is gRPC's only service that holds a thread for each open stream.
constexpr int kMaxReflectionThreads = 16;

}  // namespace

void SetQuota(const ListenOptions& options, grpc::ResourceQuota* quota) {
  quota->SetMaxThreads(kMaxReflectionThreads);
  if (options.max_receive_bytes > 0) {
    quota->Resize(static_cast<size_t>(options.max_receive_bytes));
  }
}

void SetChannelLimits(const ListenOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(-1);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // A compressed message is measured only after it has been inflated: 1 MB on the wire may be 1 GB.
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  // Two servers on one port would answer in turn, each with its own policy.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kMinClientPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kMaxPingStrikes);
  if (options.max_connection_age != absl::InfiniteDuration()) {
    const int64_t age_ms = absl::ToInt64Milliseconds(options.max_connection_age);
    builder->AddChannelArgument(
        GRPC_ARG_MAX_CONNECTION_AGE_MS,
        static_cast<int>(std::min<int64_t>(age_ms, std::numeric_limits<int>::max())));
    // What is in flight ends in its own time: a scope may be held for a day.
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                                std::numeric_limits<int>::max());
  }
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
}

}  // namespace attn
