#include "tests/server/services/refused_call.h"

#include "gmock/gmock.h"

namespace attn {

void PrintTo(const RefusedCall& refused, std::ostream* out) { *out << refused.name; }

std::string RowName(const ::testing::TestParamInfo<RefusedCall>& info) { return info.param.name; }

void ExpectRefused(const RefusedCall& refused, const std::vector<TensorText>& tensors) {
  const absl::Status status = ParseText(refused.fields, tensors, refused.more).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(refused.error));
}

}  // namespace attn
