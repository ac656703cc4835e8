// Mask expressions over the wire, one call an operator, on every backend that takes them.
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "server/transport/mask_json.h"
#include "tests/e2e/metrics_page.h"
#include "tests/e2e/plain_attention.h"
#include "tests/e2e/plain_call.h"
#include "tests/e2e/server_process.h"

namespace attn {
namespace {

namespace v1 = attention::v1;
using ::testing::HasSubstr;

constexpr int64_t kHeads = 2;
constexpr int64_t kQueries = 70;
constexpr int64_t kKeys = 90;
constexpr double kHidden = -std::numeric_limits<double>::infinity();
// fp32 sums of up to 90 values below 1.
constexpr double kTolerance = 2e-5;

class MasksTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = new ServerProcess();
    stub_ = ConnectPlain(server_->tcp());
  }
  static void TearDownTestSuite() {
    stub_.reset();
    EXPECT_EQ(server_->Stop().exit_code, 0);
    delete server_;
  }

  static v1::AttendResponse AttendGood(const v1::AttendRequest& request) {
    grpc::ClientContext context;
    v1::AttendResponse response;
    const grpc::Status status = stub_->Attend(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  static ServerProcess* server_;
  static std::unique_ptr<v1::AttentionService::Stub> stub_;
};

ServerProcess* MasksTest::server_ = nullptr;
std::unique_ptr<v1::AttentionService::Stub> MasksTest::stub_;

void SetMask(const std::string& text, v1::AttendRequest* request) {
  const absl::StatusOr<v1::MaskExpression> mask = ParseMaskJson(text);
  ASSERT_TRUE(mask.ok()) << mask.status();
  *request->mutable_mask()->mutable_expression() = *mask;
}

// Whether query position q may see key position kv.
using Visible = std::function<bool(int64_t b, int64_t h, int64_t q, int64_t kv)>;

struct Mask {
  std::string name;
  std::string text;
  Visible visible;
};

void PrintTo(const Mask& mask, std::ostream* out) { *out << mask.name; }

int32_t IdAt(int64_t b, int64_t position) {
  return static_cast<int32_t>(position < 5 ? -1 : (position + 10 * b) / 30);
}

// Over ids [2, 100], flags [2, 80], dense [1, 2, 70, 90] and blocks of 32 x 32.
bool Flag(int64_t b, int64_t kv) { return kv < 80 && (kv * 7 + b) % 3 != 0; }
bool DenseBit(int64_t h, int64_t i, int64_t j) { return (i * 31 + j * 17 + h) % 4 != 0; }
bool Listed(int64_t i, int64_t j) { return (i / 32 + j / 32) % 2 == 0; }

// Every tensor that the masks below name, of those that `text` does name.
void AddNamed(const std::string& text, v1::AttendRequest* request) {
  const auto named = [&text](const char* name) {
    return text.find(std::string("\"") + name + "\"") != std::string::npos;
  };
  if (named("ids")) {
    std::vector<int32_t> ids;
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t i = 0; i < 100; ++i) ids.push_back(IdAt(b, i));
    }
    AddIntegers("ids", {2, 100}, ids, request);
  }
  if (named("flags")) {
    v1::Tensor* tensor = request->add_tensors();
    tensor->set_name("flags");
    tensor->set_dtype(v1::DATA_TYPE_UINT8);
    tensor->add_shape(2);
    tensor->add_shape(80);
    for (int64_t i = 0; i < 2 * 80; ++i) *tensor->mutable_data() += Flag(i / 80, i % 80) ? 1 : 0;
  }
  if (named("dense")) {
    v1::Tensor* tensor = request->add_tensors();
    tensor->set_name("dense_bits");
    tensor->set_dtype(v1::DATA_TYPE_BITS);
    for (const int64_t size : {int64_t{1}, kHeads, kQueries, kKeys}) tensor->add_shape(size);
    std::string bits((kHeads * kQueries * kKeys + 7) / 8, '\0');
    for (int64_t at = 0; at < kHeads * kQueries * kKeys; ++at) {
      const int64_t row = at / kKeys;
      if (DenseBit(row / kQueries, row % kQueries, at % kKeys)) {
        bits[static_cast<size_t>(at / 8)] |= static_cast<char>(1 << (at % 8));
      }
    }
    tensor->set_data(bits);
  }
  if (named("counts")) {
    AddIntegers("counts", {1, 1, 3}, {2, 1, 2}, request);
    AddIntegers("indices", {1, 1, 3, 3}, {0, 2, -1, 1, -1, -1, 2, 0, 7}, request);
  }
  if (named("full_counts")) {
    AddIntegers("full_counts", {1, 1, 3}, {1, 0, 0}, request);
    AddIntegers("full_indices", {1, 1, 3, 1}, {1, -1, -1}, request);
  }
  if (named("windows")) AddIntegers("windows", {kHeads}, {3, 20}, request);
  if (named("lengths_of_2")) AddIntegers("lengths_of_2", {2}, {40, 0}, request);
  if (named("starts")) AddIntegers("starts", {2}, {3, 0}, request);
}

// Queries stand at 20 + i: the last at the last key.
const Mask kMaskCalls[] = {
    {"causal", R"({"op": "causal"})", [](auto, auto, int64_t q, int64_t kv) { return kv <= q; }},
    {"bidirectional", R"({"op": "bidirectional"})", [](auto...) { return true; }},
    {"sliding_window", R"({"op": "sliding_window", "window": 30})",
     [](auto, auto, int64_t q, int64_t kv) { return kv > q - 30; }},
    {"window_per_head", R"({"op": "bidirectional_window", "window_per_head": "windows"})",
     [](auto, int64_t h, int64_t q, int64_t kv) { return std::abs(q - kv) <= (h == 0 ? 3 : 20); }},
    {"chunked", R"({"op": "chunked", "chunk": 16, "left_padding": "starts"})",
     [](int64_t b, auto, int64_t q, int64_t kv) {
       const double start = b == 0 ? 3 : 0;
       return std::floor((static_cast<double>(q) - start) / 16) ==
              std::floor((static_cast<double>(kv) - start) / 16);
     }},
    {"blockwise", R"({"op": "blockwise", "ids": "ids"})",
     [](int64_t b, auto, int64_t q, int64_t kv) {
       return IdAt(b, q) >= 0 && IdAt(b, q) == IdAt(b, kv);
     }},
    {"packed", R"({"op": "and", "args": [{"op": "packed", "ids": "ids"}, {"op": "causal"}]})",
     [](int64_t b, auto, int64_t q, int64_t kv) { return kv <= q && IdAt(b, q) == IdAt(b, kv); }},
    {"padding", R"({"op": "padding", "mask": "flags"})",
     [](int64_t b, auto, auto, int64_t kv) { return Flag(b, kv); }},
    {"lengths", R"({"op": "padding", "lengths": "lengths_of_2"})",
     [](int64_t b, auto, auto, int64_t kv) { return kv < (b == 0 ? 40 : 0); }},
    {"prefix", R"({"op": "or", "args": [{"op": "prefix", "length": 33}, {"op": "causal"}]})",
     [](auto, auto, int64_t q, int64_t kv) { return kv < 33 || kv <= q; }},
    {"dense", R"({"op": "dense", "mask": "dense_bits"})",
     [](auto, int64_t h, int64_t q, int64_t kv) { return DenseBit(h, q - 20, kv); }},
    {"blocks",
     R"({"op": "and", "args": [{"op": "blocks", "block_q": 32, "block_kv": 32,)"
     R"( "kv_num_blocks": "counts", "kv_indices": "indices"}, {"op": "causal"}]})",
     [](auto, auto, int64_t q, int64_t kv) { return Listed(q - 20, kv) && kv <= q; }},
    // Full blocks lie beyond the diagonal, and are attended whole.
    {"blocks_partial",
     R"({"op": "blocks", "block_q": 32, "block_kv": 32, "kv_num_blocks": "counts",)"
     R"( "kv_indices": "indices", "full_kv_num_blocks": "full_counts",)"
     R"( "full_kv_indices": "full_indices", "partial": {"op": "causal"}})",
     [](auto, auto, int64_t q, int64_t kv) {
       const bool full = q - 20 < 32 && kv >= 32 && kv < 64;
       return full || (Listed(q - 20, kv) && kv <= q);
     }},
    {"not", R"({"op": "not", "arg": {"op": "sliding_window", "window": 30}})",
     [](auto, auto, int64_t q, int64_t kv) { return kv <= q - 30; }},
    {"offset", R"({"op": "offset", "q": -7, "kv": 4, "arg": {"op": "causal"}})",
     [](auto, auto, int64_t q, int64_t kv) { return kv + 4 <= q - 7; }},
    {"remap", R"({"op": "remap", "positions": "ids", "arg": {"op": "causal"}})",
     [](int64_t b, auto, int64_t q, int64_t kv) { return IdAt(b, kv) <= IdAt(b, q); }},
};

class MaskCallTest : public MasksTest, public ::testing::WithParamInterface<Mask> {};

TEST_P(MaskCallTest, HidesWhatItSays) {
  const PlainInputs inputs = RandomInputs(2, kHeads, 1, kQueries, kKeys, 16);
  v1::AttendRequest request = RequestOf(inputs);
  SetMask(GetParam().text, &request);
  AddNamed(GetParam().text, &request);
  request.mutable_mask()->set_q_offset(20);
  request.mutable_outputs()->set_lse(true);
  const PlainResult expected =
      PlainAttention(inputs, [&](int64_t b, int64_t h, int64_t i, int64_t j, double score) {
        return GetParam().visible(b, h, i + 20, j) ? score : kHidden;
      });
  PlainTensor lse{{2, kHeads, kQueries}, {expected.lse.begin(), expected.lse.end()}};
  for (const char* backend : {"flash", "flex", "eager"}) {
    request.set_backend(backend);
    const v1::AttendResponse response = AttendGood(request);
    EXPECT_LT(Distance(OutputOf(response, "out"), expected.out), kTolerance) << backend;
    EXPECT_LT(Distance(OutputOf(response, "lse"), lse), kTolerance) << backend;
    EXPECT_EQ(response.selection().backend(), backend);
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, MaskCallTest, ::testing::ValuesIn(kMaskCalls),
                         [](const auto& mask) { return mask.param.name; });

TEST_F(MasksTest, FlexSaysWhichShareOfItsBlocksItPassedOver) {
  v1::AttendRequest request = RequestOf(RandomInputs(1, 1, 1, 512, 512, 16));
  SetMask(R"({"op": "causal"})", &request);
  request.set_backend("flex");
  request.mutable_outputs()->set_plan(true);
  const v1::AttendResponse response = AttendGood(request);
  ASSERT_TRUE(response.metrics().has_block_sparsity());
  // n (n - 1) / 2 of n x n blocks.
  double blocks = 0;
  for (const v1::Tensor& output : response.outputs()) {
    if (output.name() == "plan_levels") blocks = static_cast<double>(output.shape(2));
  }
  ASSERT_GT(blocks, 1);
  EXPECT_DOUBLE_EQ(response.metrics().block_sparsity(), (blocks - 1) / (2 * blocks));
}

TEST_F(MasksTest, ExplainNeedsShapesAlone) {
  v1::ExplainRequest request;
  *request.mutable_call() = RequestOf(RandomInputs(2, kHeads, 1, kQueries, kKeys, 16));
  const std::string text = R"({"op": "packed", "ids": "ids"})";
  SetMask(text, request.mutable_call());
  AddNamed(text, request.mutable_call());
  for (v1::Tensor& tensor : *request.mutable_call()->mutable_tensors()) tensor.clear_data();
  grpc::ClientContext context;
  v1::ExplainResponse response;
  ASSERT_TRUE(stub_->Explain(&context, request, &response).ok());
  EXPECT_EQ(response.error_code(), 0) << response.error_message();
  EXPECT_EQ(response.selection().rule(), v1::RULE_AUTOMATIC);

  request.mutable_call()->mutable_tensors(3)->set_shape(0, 3);
  grpc::ClientContext other;
  ASSERT_TRUE(stub_->Explain(&other, request, &response).ok());
  EXPECT_EQ(response.error_code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(response.error_message(), HasSubstr("mask.expression.packed: ids 'ids'"));
}

// What tensors hold is seen once they are there. It is the caller's error, however often it comes,
// and no fault of the backend's.
TEST_F(MasksTest, BadContentsAreTheCallersFault) {
  v1::AttendRequest request = RequestOf(RandomInputs(1, 1, 1, 32, 32, 16));
  SetMask(R"({"op": "blocks", "block_q": 16, "block_kv": 16, "kv_num_blocks": "n",)"
          R"( "kv_indices": "i"})",
          &request);
  AddIntegers("n", {1, 1, 2}, {1, 1}, &request);
  AddIntegers("i", {1, 1, 2, 1}, {0, 2}, &request);
  for (const char* backend : {"flash", "flex", "eager"}) {
    request.set_backend(backend);
    for (int i = 0; i < 4; ++i) {
      const PlainAnswer answer = Attend(*stub_, request);
      EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
      EXPECT_THAT(answer.status.error_message(),
                  HasSubstr("kv_indices 'i'[0, 0, 1, 0] is 2, allowed: 0 to 1"));
    }
  }
  EXPECT_EQ(
      MetricsPage::Read(server_->metrics()).Sum("attn_calls_total", "code=\"INVALID_ARGUMENT\""),
      12);
  grpc::ClientContext context;
  v1::ListBackendsResponse backends;
  ASSERT_TRUE(stub_->ListBackends(&context, {}, &backends).ok());
  for (const v1::Backend& backend : backends.backends()) {
    EXPECT_FALSE(backend.quarantined()) << backend.name();
  }
}

}  // namespace
}  // namespace attn
