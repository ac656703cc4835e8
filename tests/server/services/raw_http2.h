// A connection that sends HTTP/2 frames as a hostile client would, without a library that is
// polite.
#ifndef ATTN_TESTS_SERVER_SERVICES_RAW_HTTP2_H_
#define ATTN_TESTS_SERVER_SERVICES_RAW_HTTP2_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace attn {

class RawHttp2 {
 public:
  static constexpr uint8_t kData = 0;
  static constexpr uint8_t kHeaders = 1;
  static constexpr uint8_t kResetStream = 3;
  static constexpr uint8_t kSettings = 4;
  static constexpr uint8_t kPing = 6;
  static constexpr uint8_t kGoAway = 7;
  static constexpr uint8_t kWindowUpdate = 8;
  static constexpr uint8_t kEndHeaders = 4;  // A flag of kHeaders.
  static constexpr uint8_t kAck = 1;         // A flag of kSettings and kPing.

  // Connects to `127.0.0.1:PORT`. With `greet` sends the preface and empty settings.
  explicit RawHttp2(const std::string& address, bool greet = true);
  RawHttp2(const RawHttp2&) = delete;
  RawHttp2& operator=(const RawHttp2&) = delete;
  ~RawHttp2();

  // False if the connection does not take it.
  bool Send(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);

  // The headers of a call of `path`.
  bool StartCall(uint32_t stream, const std::string& path);

  // Begins a gRPC message of `announced_bytes` and sends all but its last byte, as far as the
  // server takes it; false if it has reset the stream or given no more credit for a second.
  bool SendUnfinished(uint32_t stream, int64_t announced_bytes);

  struct Frame {
    uint8_t type = 0;
    uint8_t flags = 0;
    uint32_t stream = 0;
    std::string payload;
  };
  // Frames until the server closes the connection; `closed` is false if the limit came first.
  struct Received {
    std::vector<Frame> frames;
    bool closed = false;
  };
  Received ReadUntilClosed(absl::Duration limit);

 private:
  // Appends what has come to unread_; false at the connection's end or the deadline.
  bool ReadSome(absl::Time deadline);
  // The next whole frame of unread_.
  std::optional<Frame> TakeFrame();

  int socket_ = -1;
  std::string unread_;
  bool closed_ = false;
};

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_SERVICES_RAW_HTTP2_H_
