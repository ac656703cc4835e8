#include "server/transport/wire_envelope.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn {
namespace {

ByteSpan SpanOf(const std::string& bytes, size_t begin, size_t end) {
  return std::as_bytes(std::span(bytes)).subspan(begin, end - begin);
}

std::string Joined(const std::vector<ByteSpan>& spans) {
  std::string joined;
  for (const ByteSpan& span : spans) {
    joined.append(reinterpret_cast<const char*>(span.data()), span.size());
  }
  return joined;
}

attention::v1::ExplainRequest Sample(size_t model_bytes) {
  attention::v1::ExplainRequest request;
  request.mutable_call()->set_model(std::string(model_bytes, 'm'));
  return request;
}

TEST(WireEnvelope, OpensAtEverySliceBoundary) {
  for (const size_t model_bytes : {0, 3, 200, 20'000}) {
    const attention::v1::ExplainRequest request = Sample(model_bytes);
    const std::string bytes = request.SerializeAsString();
    const std::string inner = request.call().SerializeAsString();
    for (size_t cut = 0; cut <= std::min<size_t>(bytes.size(), 12); ++cut) {
      const std::vector<ByteSpan> slices = {SpanOf(bytes, 0, cut),
                                            SpanOf(bytes, cut, bytes.size())};
      const auto opened = OpenEnvelope(slices, 1);
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_EQ(Joined(*opened), inner);
    }
  }
}

TEST(WireEnvelope, RefusesWhatIsNotExactlyTheField) {
  const std::string good = Sample(5).SerializeAsString();
  const std::string bad[] = {"",
                             good + good,
                             good + "x",
                             good.substr(0, good.size() - 1),
                             std::string("\x12\x00", 2),
                             std::string("\x08\x01", 2),
                             std::string(12, '\xff')};
  for (const std::string& bytes : bad) {
    const ByteSpan slice = SpanOf(bytes, 0, bytes.size());
    EXPECT_EQ(OpenEnvelope({&slice, 1}, 1).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace attn
