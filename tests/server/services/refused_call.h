// Rows of what ParseCall refuses, and how it says so.
#ifndef ATTN_TESTS_SERVER_SERVICES_REFUSED_CALL_H_
#define ATTN_TESTS_SERVER_SERVICES_REFUSED_CALL_H_

#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/services/parsed_request.h"

namespace attn {

struct RefusedCall {
  std::string name;
  std::string fields;
  std::vector<TensorText> more;  // Beside q, k and v.
  std::string error;
};

void PrintTo(const RefusedCall& refused, std::ostream* out);
std::string RowName(const ::testing::TestParamInfo<RefusedCall>& info);

// INVALID_ARGUMENT with that text; `tensors` are q, k and v.
void ExpectRefused(const RefusedCall& refused, const std::vector<TensorText>& tensors);

}  // namespace attn

#endif  // ATTN_TESTS_SERVER_SERVICES_REFUSED_CALL_H_
