#include "tests/server/services/parsed_request.h"

#include <memory>
#include <span>
#include <utility>

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

namespace v1 = attention::v1;

class Stripes final : public MaskFunction {
 public:
  const MaskFunctionInfo& info() const override { return info_; }

  absl::StatusOr<std::unique_ptr<BoundMaskFunction>> Bind(
      std::span<const double> arguments, std::span<const TensorView> tensors) const override {
    if (arguments.size() != 1 || !tensors.empty()) {
      return absl::InvalidArgumentError("stripes takes one argument and no tensors");
    }
    class Bound final : public BoundMaskFunction {
      void Evaluate(int64_t /*b*/, int64_t /*head*/, int64_t /*q*/, std::span<const int64_t> kv,
                    uint8_t* visible) const override {
        for (size_t i = 0; i < kv.size(); ++i) visible[i] = 1;
      }
    };
    return std::make_unique<Bound>();
  }

 private:
  const MaskFunctionInfo info_ = {.name = "stripes"};
};

}  // namespace

std::vector<TensorText> PaddedTokens() {
  return {{"q", kFp32, {2, 4, 5, 8}}, {"k", kFp32, {2, 2, 5, 8}}, {"v", kFp32, {2, 2, 5, 6}}};
}

std::vector<TensorText> PackedTokens() {
  return {{"q", kFp32, {10, 4, 8}}, {"k", kFp32, {10, 2, 8}}, {"v", kFp32, {10, 2, 6}}};
}

absl::StatusOr<ParsedCall> ParseText(const std::string& fields, std::vector<TensorText> tensors,
                                     const std::vector<TensorText>& more) {
  static const Stripes stripes;
  v1::AttendRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(fields, &request)) << fields;
  tensors.insert(tensors.end(), more.begin(), more.end());
  std::vector<WireTensor> wire;
  for (const TensorText& tensor : tensors) {
    v1::Tensor& header = wire.emplace_back().header;
    header.set_name(tensor.name);
    header.set_dtype(tensor.dtype);
    header.mutable_shape()->Assign(tensor.shape.begin(), tensor.shape.end());
    header.set_pattern(tensor.pattern);
    header.set_heads(tensor.heads);
  }
  return ParseCall(request, std::move(wire), PayloadRule::kOptional, {&stripes});
}

}  // namespace attn
