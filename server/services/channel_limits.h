// What a peer may do to a connection before anything of ours sees a call.
//
// Memory of a server, at most (measured with gRPC 1.51, which goes over its quota by up to a
// quarter, by what is being read when the quota is full):
//
//   1.25 x max_receive_bytes    requests, from their first byte until their call has run
//   + max_admitted_bytes        outputs and workspaces of admitted calls, gathered payloads
//   + max_admitted_bytes        replies that their callers have not read, and one call's beyond
//   + pool_idle_bytes           buffers between calls
//   + 64 KiB a connection, and the process itself (20 MB)
//
// Without max_receive_bytes the first line is connections x max_concurrent_streams x
// max_message_bytes: whoever can connect can use it up.
//
// When the quota of max_receive_bytes is full, gRPC first closes idle connections (UNAVAILABLE for
// a call that was just starting there, which clients repeat) and then ends calls, whichever it
// meets, with RESOURCE_EXHAUSTED ("Received RST_STREAM with error code 11").
#ifndef ATTN_SERVER_SERVICES_CHANNEL_LIMITS_H_
#define ATTN_SERVER_SERVICES_CHANNEL_LIMITS_H_

#include "grpcpp/resource_quota.h"
#include "grpcpp/server_builder.h"
#include "server/services/listen_options.h"

namespace attn {

// The quota of all connections of a server.
void SetQuota(const ListenOptions& options, grpc::ResourceQuota* quota);

// Limits of every connection.
void SetChannelLimits(const ListenOptions& options, grpc::ServerBuilder* builder);

}  // namespace attn

#endif  // ATTN_SERVER_SERVICES_CHANNEL_LIMITS_H_
