// What malformed and unserveable calls get from a real server, through plain generated protobuf.
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/attention/v1/attention.grpc.pb.h"
#include "tests/e2e/bad_call.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::HasSubstr;

v1::Tensor& Q(v1::AttendRequest& request) { return *request.mutable_tensors(0); }
v1::Tensor& K(v1::AttendRequest& request) { return *request.mutable_tensors(1); }

void Reshape(v1::Tensor& tensor, const std::vector<int64_t>& shape) {
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
}

class BadInputTest : public BadCallTest {};

TEST_P(BadInputTest, IsRefusedWithItsReason) { ExpectRefused(GetParam()); }

constexpr grpc::StatusCode kInvalid = grpc::StatusCode::INVALID_ARGUMENT;

const BadCall kShapes[] = {
    {"wrong_rank",
     [](auto& r) {
       Reshape(Q(r), {2, 3, 4});
     },
     kInvalid, "'q'"},
    {"rank_7",
     [](auto& r) {
       Reshape(Q(r), {1, 1, 1, 1, 2, 3, 4});
     },
     kInvalid, "rank 7"},
    {"no_shape", [](auto& r) { Q(r).clear_shape(); }, kInvalid, "rank 0"},
    {"zero_dimension",
     [](auto& r) {
       Reshape(Q(r), {1, 2, 0, 4});
     },
     kInvalid, "dimension of 0"},
    {"negative_dimension",
     [](auto& r) {
       Reshape(Q(r), {1, 2, -3, 4});
     },
     kInvalid, "dimension of -3"},
    {"overflowing_product",
     [](auto& r) {
       Reshape(Q(r), {1 << 30, 1 << 30, 1 << 30, 1 << 30});
     },
     kInvalid, "too many elements"},
    {"dimension_of_int64_max",
     [](auto& r) {
       Reshape(Q(r), {1, 1, std::numeric_limits<int64_t>::max(), 4});
     },
     kInvalid, "dimension of 9223372036854775807"},
    {"batch_differs",
     [](auto& r) {
       Reshape(Q(r), {2, 1, 3, 4});
     },
     kInvalid, "batch size of q is 2, of k it is 1"},
    {"key_and_value_lengths_differ",
     [](auto& r) {
       Reshape(K(r), {1, 3, 2, 4});
     },
     kInvalid, "head count of k is 3, of v it is 2"},
    {"head_size_differs",
     [](auto& r) {
       Reshape(Q(r), {1, 2, 4, 3});
     },
     kInvalid, "head size of q is 3, of k it is 4"},
    {"heads_no_multiple",
     [](auto& r) {
       Reshape(Q(r), {1, 3, 2, 4});
     },
     kInvalid, "q has 3 heads and k has 2"},
    {"payload_short", [](auto& r) { Q(r).mutable_data()->pop_back(); }, kInvalid,
     "data has 95 bytes, but shape [1, 2, 3, 4] of fp32 needs 96"},
    {"payload_long", [](auto& r) { Q(r).mutable_data()->push_back('x'); }, kInvalid,
     "data has 97 bytes"},
    {"payload_missing", [](auto& r) { Q(r).clear_data(); }, kInvalid, "data has 0 bytes"},
    {"head_dim_above_all_backends",
     [](auto& r) {
       r.clear_tensors();
       for (const char* name : {"q", "k", "v"}) AddTensor(&r, name, {1, 1, 2, 257});
     },
     grpc::StatusCode::UNIMPLEMENTED, "head_dim 257 not supported"},
};

const BadCall kTypes[] = {
    {"no_dtype", [](auto& r) { Q(r).clear_dtype(); }, kInvalid, "dtype"},
    {"unknown_dtype", [](auto& r) { Q(r).set_dtype(static_cast<v1::DataType>(77)); }, kInvalid,
     "77"},
    {"integer_q", [](auto& r) { Q(r).set_dtype(v1::DATA_TYPE_INT32); }, kInvalid,
     "dtype int32 not allowed, allowed: fp32, fp16, bf16"},
    {"dtypes_differ",
     [](auto& r) {
       K(r).set_dtype(v1::DATA_TYPE_BF16);
       K(r).mutable_data()->resize(48);
     },
     kInvalid, "tensor 'k': dtype bf16 differs from q's fp32"},
    {"out_dtype_integer", [](auto& r) { r.mutable_outputs()->set_out_dtype(v1::DATA_TYPE_INT8); },
     kInvalid, "outputs.out_dtype: int8"},
};

const BadCall kLayouts[] = {
    {"pattern_unknown_letter", [](auto& r) { Q(r).set_pattern("b h x d"); }, kInvalid, "'q'"},
    {"pattern_letter_twice", [](auto& r) { Q(r).set_pattern("b h h d"); }, kInvalid, "'q'"},
    {"pattern_axis_missing", [](auto& r) { Q(r).set_pattern("b h s"); }, kInvalid, "'q'"},
    {"pattern_joined_without_heads",
     [](auto& r) {
       Q(r).set_pattern("b s (h d)");
       Reshape(Q(r), {1, 3, 8});
     },
     kInvalid, "heads"},
    {"pattern_joined_not_divisible",
     [](auto& r) {
       Q(r).set_pattern("b s (h d)");
       Q(r).set_heads(3);
       Reshape(Q(r), {1, 3, 8});
     },
     kInvalid, "'q'"},
    {"packed_without_cu_seqlens", [](auto& r) { Q(r).set_pattern("t h d"); }, kInvalid,
     "no cu_seqlens"},
    {"out_pattern_garbage", [](auto& r) { r.mutable_outputs()->set_out_pattern("(("); }, kInvalid,
     "outputs.out_pattern"},
};

const BadCall kTensors[] = {
    {"no_tensors", [](auto& r) { r.clear_tensors(); }, kInvalid, "'q' missing"},
    {"v_missing", [](auto& r) { r.mutable_tensors()->RemoveLast(); }, kInvalid, "'v' missing"},
    {"q_twice",
     [](auto& r) {
       AddTensor(&r, "q", {1, 2, 3, 4});
     },
     kInvalid, "'q' stands twice"},
    {"unused_tensor",
     [](auto& r) {
       AddTensor(&r, "bias", {3, 3});
     },
     kInvalid, "no field and no option names it"},
    {"nameless", [](auto& r) { Q(r).clear_name(); }, kInvalid, "without a name"},
    {"option_names_no_tensor", [](auto& r) { (*r.mutable_options())["x"].set_tensor("nothing"); },
     kInvalid, "'nothing' missing"},
    {"unknown_field",
     [](auto& r) { r.GetReflection()->MutableUnknownFields(&r)->AddVarint(31, 1); }, kInvalid,
     "unknown field"},
};

const BadCall kSelection[] = {
    {"unknown_backend", [](auto& r) { r.set_backend("flsh"); }, kInvalid, "did you mean 'flash'"},
    {"backend_never_served", [](auto& r) { r.set_backend("NO_ATTENTION"); },
     grpc::StatusCode::UNIMPLEMENTED, "NO_ATTENTION"},
    {"unknown_allowed_backend", [](auto& r) { r.add_allowed_backends("nope"); }, kInvalid, "nope"},
    {"unknown_option",
     [](auto& r) {
       r.set_backend("flash");
       (*r.mutable_options())["blokc_q"].set_int64_value(64);
     },
     kInvalid, "did you mean 'block_q'"},
    {"option_of_wrong_type",
     [](auto& r) {
       r.set_backend("flash");
       (*r.mutable_options())["block_q"].set_string_value("64");
     },
     kInvalid, "block_q"},
    {"option_without_value", [](auto& r) { (*r.mutable_options())["block_q"]; }, kInvalid,
     "block_q"},
    {"unknown_model", [](auto& r) { r.set_model("GPT-0"); }, grpc::StatusCode::NOT_FOUND, "GPT-0"},
    {"preset_without_model", [](auto& r) { r.set_preset("fast"); }, kInvalid, "preset"},
    {"unknown_scope", [](auto& r) { r.set_scope_id("0123"); }, grpc::StatusCode::NOT_FOUND, "0123"},
    {"weights_from_flash",
     [](auto& r) {
       r.set_backend("flash");
       r.mutable_outputs()->set_weights(true);
     },
     grpc::StatusCode::UNIMPLEMENTED, "weights"},
};

const BadCall kMasks[] = {
    {"alignment_alone", [](auto& r) { r.mutable_mask()->set_alignment(v1::Mask::TOP_LEFT); },
     kInvalid, "alignment"},
    {"window_below_minus_one", [](auto& r) { r.mutable_mask()->mutable_window()->set_left(-2); },
     kInvalid, "window"},
    {"lengths_of_wrong_count",
     [](auto& r) {
       r.mutable_mask()->add_k_lengths(1);
       r.mutable_mask()->add_k_lengths(1);
     },
     kInvalid, "k_lengths"},
    {"length_beyond_tokens", [](auto& r) { r.mutable_mask()->add_k_lengths(4); }, kInvalid,
     "k_lengths"},
    {"cu_seqlens_of_one_side", [](auto& r) { r.mutable_mask()->add_cu_seqlens_q(0); }, kInvalid,
     "cu_seqlens"},
    {"cu_seqlens_falls",
     [](auto& r) {
       r.clear_tensors();
       for (const char* name : {"q", "k", "v"}) AddTensor(&r, name, {3, 2, 4});
       for (const int64_t at : {0, 2, 1, 3}) {
         r.mutable_mask()->add_cu_seqlens_q(at);
         r.mutable_mask()->add_cu_seqlens_k(at);
       }
     },
     kInvalid, "cu_seqlens"},
};

const BadCall kValues[] = {
    {"scale_nan", [](auto& r) { r.set_scale(std::nan("")); }, kInvalid, "scale"},
    {"scale_infinite", [](auto& r) { r.set_scale(HUGE_VAL); }, kInvalid, "scale"},
    {"plan_block_without_plan", [](auto& r) { r.mutable_outputs()->set_plan_block_q(16); },
     kInvalid, "plan_block_q"},
    {"plan_block_negative",
     [](auto& r) {
       r.mutable_outputs()->set_plan(true);
       r.mutable_outputs()->set_plan_block_k(-1);
     },
     kInvalid, "plan_block_k"},
    {"timestep_negative", [](auto& r) { r.mutable_metadata()->set_timestep(-1); }, kInvalid,
     "timestep"},
    {"grid_beyond_tokens",
     [](auto& r) {
       auto* grid = r.mutable_metadata()->mutable_grid();
       grid->set_t(2);
       grid->set_h(2);
       grid->set_w(2);
     },
     kInvalid, "grid"},
    {"caller_id_long", [](auto& r) { r.mutable_metadata()->set_caller_id(std::string(129, 'x')); },
     kInvalid, "caller_id"},
    {"message_above_the_limit",
     [](auto& r) {
       r.clear_tensors();
       for (const char* name : {"q", "k", "v"}) AddTensor(&r, name, {1, 1, 4096, 64});
     },
     grpc::StatusCode::RESOURCE_EXHAUSTED, "larger than max"},
};

INSTANTIATE_TEST_SUITE_P(Shapes, BadInputTest, ::testing::ValuesIn(kShapes), NameOf);
INSTANTIATE_TEST_SUITE_P(Types, BadInputTest, ::testing::ValuesIn(kTypes), NameOf);
INSTANTIATE_TEST_SUITE_P(Layouts, BadInputTest, ::testing::ValuesIn(kLayouts), NameOf);
INSTANTIATE_TEST_SUITE_P(Tensors, BadInputTest, ::testing::ValuesIn(kTensors), NameOf);
INSTANTIATE_TEST_SUITE_P(Selection, BadInputTest, ::testing::ValuesIn(kSelection), NameOf);
INSTANTIATE_TEST_SUITE_P(Masks, BadInputTest, ::testing::ValuesIn(kMasks), NameOf);
INSTANTIATE_TEST_SUITE_P(Values, BadInputTest, ::testing::ValuesIn(kValues), NameOf);

// Sends raw bytes as the request message.
grpc::Status SendBytes(const std::string& address, const std::string& bytes) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  auto call =
      stub.PrepareUnaryCall(&context, "/attention.v1.AttentionService/Attend", request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

TEST_F(BadInputTest, GarbageAndTruncatedMessagesAreInvalid) {
  const std::string good = GoodRequest().SerializeAsString();
  EXPECT_EQ(SendBytes(server_->tcp(), std::string(100, '\xff')).error_code(), kInvalid);
  EXPECT_EQ(SendBytes(server_->tcp(), "").error_code(), kInvalid);
  for (size_t size = 1; size < good.size(); size += 7) {
    EXPECT_EQ(SendBytes(server_->tcp(), good.substr(0, size)).error_code(), kInvalid) << size;
  }
  ExpectServing();
}

// Protobuf writes a line for each such text unless told otherwise. So many fill the pipe that is
// the server's log, and while nobody reads it, writing one would hold up the thread that answers.
TEST(InvalidTextTest, WritesNothingAndHoldsNothingUp) {
  ServerProcess server;
  const std::string bad_model("\x0a\x02\xff\xfe");
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(SendBytes(server.tcp(), bad_model).error_code(), kInvalid) << i;
  }
  const ProcessOutput end = server.Stop();
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err, ::testing::Not(HasSubstr("libprotobuf")));
}

// Load generators send random bytes: NaN and infinity come and go as IEEE arithmetic has it, in
// the rows that see them and in no other.
TEST_F(BadInputTest, NanPoisonsTheRowsThatSeeItAlone) {
  v1::AttendRequest request = GoodRequest();
  request.mutable_mask()->set_causal(true);
  std::string* values = request.mutable_tensors(2)->mutable_data();  // v [1, 2, 3, 4]
  const float nan = std::numeric_limits<float>::quiet_NaN();
  values->replace((0 * 12 + 2 * 4 + 1) * 4, 4, reinterpret_cast<const char*>(&nan), 4);
  v1::AttendResponse response;
  ASSERT_TRUE(Attend(request, &response).ok());
  const std::string& data = response.outputs(0).data();
  ASSERT_EQ(data.size(), 96U);
  for (size_t i = 0; i < 24; ++i) {
    float value = 0;
    data.copy(reinterpret_cast<char*>(&value), 4, i * 4);
    EXPECT_EQ(std::isnan(value), i == 2 * 4 + 1) << i;
  }
}

}  // namespace
}  // namespace attn
