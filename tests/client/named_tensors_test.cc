#include "client/named_tensors.h"

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace attn {
namespace {

attention::v1::AttendRequest Parse(const char* text) {
  attention::v1::AttendRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

TEST(NamedTensors, AreThoseOfEveryFieldInOrderAndOnce) {
  const attention::v1::AttendRequest request = Parse(R"(
    mask { expression { all_of {
      args { sliding_window { window_per_head: "m1" } }
      args { any_of { args { bidirectional_window { window_per_head: "m2" } }
                      args { negation { chunked { left_padding: "m3" } } } } }
      args { offset { arg { remap { positions: "m4" arg { blockwise { ids: "m5" } } } } } }
      args { packed { ids: "m6" } }
      args { padding { mask: "m7" lengths: "m8" } }
      args { prefix { lengths: "m9" } }
      args { dense { mask: "m10" } }
      args { blocks { kv_num_blocks: "m11" kv_indices: "m12" full_kv_num_blocks: "m13"
                      full_kv_indices: "m14" partial { packed { ids: "m15" } } } }
      args { function { name: "not a tensor" tensors: "m16" tensors: "m1" } }
      args { causal {} }
    } } }
    modifiers { bias: "s1" alibi_slopes: "s2" sinks: "q" }
    rotary { cos: "r1" sin: "r2" }
    replicated { q: "t1" k: "t2" v: "t2" }
    skip_scores { sample_weights: "w" }
    gate { tensor: "g" }
    options { key: "b" value { tensor: "o2" } }
    options { key: "a" value { list { values { tensor: "o1" } values { string_value: "no" } } } }
  )");
  EXPECT_THAT(NamedTensors(request),
              testing::ElementsAre("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10",
                                   "m11", "m12", "m13", "m14", "m15", "m16", "s1", "s2", "q", "r1",
                                   "r2", "t1", "t2", "w", "g", "o1", "o2"));
  EXPECT_THAT(NamedTensors({}), testing::IsEmpty());
}

TEST(NamedTensors, OfATreeThatNoServerTakesAreLeftToTheServer) {
  attention::v1::AttendRequest request;
  attention::v1::MaskExpression* node = request.mutable_mask()->mutable_expression();
  for (int depth = 0; depth < 80; ++depth) node = node->mutable_negation();
  node->mutable_packed()->set_ids("deep");
  EXPECT_THAT(NamedTensors(request), testing::IsEmpty());
}

}  // namespace
}  // namespace attn
