// Attention by its definition in double, over plain arrays: what the answers of a real server are
// compared to.
#ifndef ATTN_TESTS_E2E_PLAIN_ATTENTION_H_
#define ATTN_TESTS_E2E_PLAIN_ATTENTION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proto/attention/v1/attention.pb.h"

namespace attn {

// fp32 tensor, contiguous.
struct PlainTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;

  // Of rank 4.
  double At(int64_t b, int64_t h, int64_t s, int64_t d) const;
};

// Values between -1 and 1 that `seed` makes.
PlainTensor RandomTensor(const std::vector<int64_t>& shape, int seed);

// [B, H, S + R, D] of [B, H, S, D] and [B, H, R, D].
PlainTensor JoinTokens(const PlainTensor& first, const PlainTensor& second);

void AddTensor(const std::string& name, const PlainTensor& tensor,
               attention::v1::AttendRequest* request);
void AddIntegers(const std::string& name, const std::vector<int64_t>& shape,
                 const std::vector<int32_t>& values, attention::v1::AttendRequest* request);

// q, k, v [B, H, S, D].
struct PlainInputs {
  PlainTensor q;
  PlainTensor k;
  PlainTensor v;
};
PlainInputs RandomInputs(int64_t batch, int64_t heads, int64_t kv_heads, int64_t query_len,
                         int64_t key_len, int64_t dim);
attention::v1::AttendRequest RequestOf(const PlainInputs& inputs);

// What is done to the score of query i and key j: their new one, -infinity for hidden.
using PlainScore = std::function<double(int64_t b, int64_t h, int64_t i, int64_t j, double score)>;

struct PlainResult {
  PlainTensor out;
  std::vector<double> lse;  // [B, H, Sq]
};
// Scale is D^-0.5. `sinks`: one a head, or none.
PlainResult PlainAttention(const PlainInputs& inputs, const PlainScore& score,
                           const std::vector<float>& sinks = {});

// Of the response's output of that name; all of them fp32.
PlainTensor OutputOf(const attention::v1::AttendResponse& response, const std::string& name);

// Largest distance of elements; infinity where shapes differ, or one of two is not finite.
double Distance(const PlainTensor& a, const PlainTensor& b);

}  // namespace attn

#endif  // ATTN_TESTS_E2E_PLAIN_ATTENTION_H_
