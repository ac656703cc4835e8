#include "tests/server/services/raw_http2.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/time/clock.h"

namespace attn {
namespace {

std::string BigEndian(uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

uint32_t FromBigEndian(const std::string& text, size_t at, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<uint8_t>(text[at + i]);
  return value;
}

// HPACK: a literal that is not indexed, with a new name.
std::string Header(const std::string& name, const std::string& value) {
  std::string text(1, '\0');
  for (const std::string* part : {&name, &value}) {
    text.push_back(static_cast<char>(part->size()));  // Below 127.
    text += *part;
  }
  return text;
}

}  // namespace

RawHttp2::RawHttp2(const std::string& address, bool greet)
    : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
  if (connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) std::abort();
  if (!greet) return;
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  send(socket_, preface.data(), preface.size(), MSG_NOSIGNAL);
  Send(kSettings, 0, 0, "");
}

RawHttp2::~RawHttp2() { close(socket_); }

bool RawHttp2::Send(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string frame = BigEndian(static_cast<uint32_t>(payload.size()), 3);
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  frame += BigEndian(stream, 4) + payload;
  return send(socket_, frame.data(), frame.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(frame.size());
}

bool RawHttp2::StartCall(uint32_t stream, const std::string& path) {
  return Send(kHeaders, kEndHeaders, stream,
              Header(":method", "POST") + Header(":scheme", "http") + Header(":path", path) +
                  Header(":authority", "localhost") + Header("content-type", "application/grpc") +
                  Header("te", "trailers"));
}

bool RawHttp2::SendUnfinished(uint32_t stream, int64_t announced_bytes) {
  constexpr int64_t kFrameBytes = 16384;
  constexpr int64_t kFirstWindowBytes = 65535;
  int64_t connection_credit = kFirstWindowBytes;
  int64_t stream_credit = kFirstWindowBytes;
  int64_t first_window = kFirstWindowBytes;
  const std::string prefix =
      std::string(1, '\0') + BigEndian(static_cast<uint32_t>(announced_bytes), 4);
  int64_t left = announced_bytes + static_cast<int64_t>(prefix.size()) - 1;
  std::string payload = prefix + std::string(kFrameBytes - prefix.size(), 'x');
  while (left > 0) {
    const int64_t credit = std::min(connection_credit, stream_credit);
    if (credit >= std::min(left, kFrameBytes)) {
      payload.resize(static_cast<size_t>(std::min(left, kFrameBytes)));
      if (!Send(kData, 0, stream, payload)) return false;
      const auto sent = static_cast<int64_t>(payload.size());
      left -= sent;
      connection_credit -= sent;
      stream_credit -= sent;
      payload.assign(kFrameBytes, 'x');
      continue;
    }
    const std::optional<Frame> frame = TakeFrame();
    if (!frame) {
      if (!ReadSome(absl::Now() + absl::Seconds(1))) return false;
      continue;
    }
    if (frame->type == kWindowUpdate) {
      (frame->stream == 0 ? connection_credit : stream_credit) +=
          FromBigEndian(frame->payload, 0, 4);
    } else if (frame->type == kSettings && (frame->flags & kAck) == 0) {
      constexpr uint32_t kInitialWindowSize = 4;
      for (size_t at = 0; at + 6 <= frame->payload.size(); at += 6) {
        if (FromBigEndian(frame->payload, at, 2) != kInitialWindowSize) continue;
        const int64_t window = FromBigEndian(frame->payload, at + 2, 4);
        stream_credit += window - first_window;
        first_window = window;
      }
      Send(kSettings, kAck, 0, "");
    } else if (frame->type == kResetStream && frame->stream == stream) {
      return false;
    }
  }
  return true;
}

bool RawHttp2::ReadSome(absl::Time deadline) {
  pollfd readable{socket_, POLLIN, 0};
  const int64_t wait_ms = absl::ToInt64Milliseconds(deadline - absl::Now()) + 1;
  if (wait_ms <= 0 || poll(&readable, 1, static_cast<int>(wait_ms)) <= 0) return false;
  char buffer[65536];
  const ssize_t count = read(socket_, buffer, sizeof(buffer));
  if (count > 0) unread_.append(buffer, static_cast<size_t>(count));
  closed_ = count <= 0;
  return !closed_;
}

std::optional<RawHttp2::Frame> RawHttp2::TakeFrame() {
  constexpr size_t kHeaderBytes = 9;
  if (unread_.size() < kHeaderBytes) return std::nullopt;
  const size_t size = FromBigEndian(unread_, 0, 3);
  if (unread_.size() < kHeaderBytes + size) return std::nullopt;
  Frame frame{static_cast<uint8_t>(unread_[3]), static_cast<uint8_t>(unread_[4]),
              FromBigEndian(unread_, 5, 4), unread_.substr(kHeaderBytes, size)};
  unread_.erase(0, kHeaderBytes + size);
  return frame;
}

RawHttp2::Received RawHttp2::ReadUntilClosed(absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  while (ReadSome(deadline)) {
  }
  Received received;
  received.closed = closed_;
  while (std::optional<Frame> frame = TakeFrame()) received.frames.push_back(*std::move(frame));
  return received;
}

}  // namespace attn
