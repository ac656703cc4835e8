// The parts of `attn` that need no server.
#include <algorithm>

#include "absl/strings/str_join.h"
#include "client/cli/call_report.h"
#include "client/cli/parse_values.h"
#include "client/cli/printable.h"
#include "client/cli/shape_flags.h"
#include "client/cli/table.h"
#include "client/golden/tensor_compare.h"
#include "client/load/random_tensor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attn::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseValues, ReadsWhatTheHelpSays) {
  EXPECT_THAT(ParseIntegers("--f", "0,-1,55").value(), ElementsAre(0, -1, 55));
  EXPECT_THAT(ParseShape("--f", "1x8x128x64").value(), ElementsAre(1, 8, 128, 64));
  EXPECT_EQ(ParseDuration("--f", "1.5s").value(), absl::Milliseconds(1500));
  EXPECT_EQ(ParseDType("--f", "bf16").value(), DType::kBFloat16);
  const OptionMap options = ParseOptions("--f", {"a=3", "b=topk", "c=[1, 2]", "d=x=y"}).value();
  EXPECT_EQ(std::get<int64_t>(options.at("a").value), 3);
  EXPECT_EQ(std::get<std::string>(options.at("b").value), "topk");
  EXPECT_EQ(std::get<OptionList>(options.at("c").value).size(), 2);
  EXPECT_EQ(std::get<std::string>(options.at("d").value), "x=y");
}

TEST(ParseValues, RefusesTheRestAndNamesTheFlag) {
  const absl::Status refused[] = {
      ParseIntegers("--f", "1,,2").status(),    ParseIntegers("--f", "").status(),
      ParseIntegers("--f", "1.5").status(),     ParseShape("--f", "1x0").status(),
      ParseShape("--f", "8x").status(),         ParseShape("--f", "1,8").status(),
      ParseDuration("--f", "5").status(),       ParseDuration("--f", "-5s").status(),
      ParseDuration("--f", "inf").status(),     ParseDType("--f", "fp8").status(),
      ParseOptions("--f", {"a"}).status(),      ParseOptions("--f", {"=1"}).status(),
      ParseOptions("--f", {"a=null"}).status(), ParseOptions("--f", {"a=1", "a=2"}).status()};
  for (const absl::Status& status : refused) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::StartsWith("--f"));
  }
}

TEST(Table, AlignsColumnsAndHidesControlCharacters) {
  Table table({"name", ">ms", "why"});
  table.AddRow({"flash", "1.500", ""});
  table.AddRow({"x", "12.000", "a\x1b[31mb"});
  EXPECT_EQ(table.Text(),
            "name       ms  why\n"
            "flash   1.500\n"
            "x      12.000  a\\x1b[31mb\n");
}

TEST(Printable, EscapesControlCharactersAlone) {
  EXPECT_EQ(Printable("a\nb\t\x7f\r"), "a\\nb\\t\\x7f\\r");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b"
            "31m");
  EXPECT_EQ(Printable("2\xc2\xb5s, na\xc3\xafve \\"), "2\xc2\xb5s, na\xc3\xafve \\");
}

TEST(MedianMetrics, IsTakenFieldByField) {
  std::vector<attention::v1::CallMetrics> metrics(3);
  const int64_t queue_ns[] = {30, 10, 20};
  const int64_t kernel_ns[] = {1, 3, 2};
  for (size_t i = 0; i < 3; ++i) {
    metrics[i].set_queue_ns(queue_ns[i]);
    metrics[i].set_kernel_ns(kernel_ns[i]);
  }
  EXPECT_EQ(MedianMetrics(metrics).queue_ns(), 20);
  EXPECT_EQ(MedianMetrics(metrics).kernel_ns(), 2);
}

TEST(RandomTensor, IsTheSameForTheSameSeed) {
  const std::vector<int64_t> shape = {64, 64};
  const auto view = [](const AlignedBuffer& buffer) {
    return std::string(reinterpret_cast<const char*>(buffer.data()),
                       static_cast<size_t>(buffer.size()));
  };
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    const load::TensorSpec spec = {"x", dtype, shape};
    const AlignedBuffer a = load::RandomTensor(spec, 1).value();
    EXPECT_EQ(a.size(), ByteSize(dtype, 64 * 64));
    EXPECT_EQ(view(a), view(load::RandomTensor(spec, 1).value()));
    EXPECT_NE(view(a), view(load::RandomTensor(spec, 2).value()));
  }
}

TEST(RandomTensor, StaysWithinItsRange) {
  for (const DType dtype : kAllDTypes) {
    load::TensorSpec spec = {"x", dtype, {3, 40}};
    if (dtype != DType::kBits) {
      EXPECT_EQ(load::RandomTensor(spec, 1).ok(), IsFloat(dtype)) << "integers need a range";
      spec.range = load::ValueRange{2, 5};
      spec.ascending = true;
    }
    const absl::StatusOr<AlignedBuffer> data = load::RandomTensor(spec, 1);
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_EQ(data->size(), ByteSize(dtype, 120));
    if (dtype == DType::kBits) continue;
    const FileTensor stored = {
        dtype, spec.shape, {data->data(), static_cast<size_t>(data->size())}};
    const std::vector<double> values = ToDoubles(stored).value();
    const auto [min, max] = std::minmax_element(values.begin(), values.end());
    EXPECT_GE(*min, 2);
    EXPECT_LE(*max, 5);
    EXPECT_LT(*min, 2.5);
    EXPECT_GT(*max, 4.5);
    for (int row = 0; row < 3; ++row) {
      EXPECT_TRUE(std::is_sorted(values.begin() + row * 40, values.begin() + (row + 1) * 40));
    }
  }
}

TEST(ParseTensor, ReadsNameShapeDTypeAndRange) {
  const load::TensorSpec ids = ParseTensor("--f", "ids=1x40:int32:-2..3:ascending").value();
  EXPECT_EQ(ids.name, "ids");
  EXPECT_EQ(ids.dtype, DType::kInt32);
  EXPECT_THAT(ids.shape, ElementsAre(1, 40));
  EXPECT_EQ(ids.range->min, -2);
  EXPECT_EQ(ids.range->max, 3);
  EXPECT_TRUE(ids.ascending);
  EXPECT_FALSE(ParseTensor("--f", "b=8:fp32").value().range.has_value());
  EXPECT_EQ(ParseTensor("--f", "b=8:fp32:-0.5..1e2").value().range->min, -0.5);
  for (const char* wrong :
       {"", "b", "b=", "=8:fp32", "b=8", "b=8x0:fp32", "b=8:float", "b=8:fp32:1", "b=8:fp32:1..x",
        "b=8:fp32:0..1:sorted", "b=8:fp32:0..1:ascending:"}) {
    const absl::Status status = ParseTensor("--f", wrong).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_THAT(std::string(status.message()), testing::StartsWith("--f: ")) << wrong;
  }
}

attention::v1::AttendRequest Unpacked() { return {}; }

attention::v1::AttendRequest Packed() {
  attention::v1::AttendRequest request;
  request.mutable_mask()->add_cu_seqlens_q(0);
  return request;
}

std::string Describe(const absl::StatusOr<std::vector<load::TensorSpec>>& specs) {
  if (!specs.ok()) return std::string(specs.status().message());
  return absl::StrJoin(*specs, " | ", [](std::string* out, const load::TensorSpec& spec) {
    absl::StrAppend(out, spec.name, " ", absl::StrJoin(spec.shape, "x"), " ", Name(spec.dtype),
                    " '", spec.pattern, "' ", spec.heads);
  });
}

TEST(ShapeFlags, LayTheTensorsOut) {
  EXPECT_EQ(Describe(MakeTensorSpecs({.shape = "1x8x16x64"}, {}, Unpacked())),
            "q 1x8x16x64 bf16 'b h s d' 8 | k 1x8x16x64 bf16 'b h s d' 8 | "
            "v 1x8x16x64 bf16 'b h s d' 8");
  EXPECT_EQ(Describe(MakeTensorSpecs(
                {.shape = "2x8x16x64", .key_len = 5, .value_dim = 32, .dtype = "fp32"},
                {.pattern = "b s (n d)", .kv_heads = 2}, Unpacked())),
            "q 2x16x512 fp32 'b s (h d)' 8 | k 2x5x128 fp32 'b s (h d)' 2 | "
            "v 2x5x64 fp32 'b s (h d)' 2");
  EXPECT_EQ(Describe(MakeTensorSpecs({.shape = "1x8x16x64"}, {}, Packed())),
            "q 16x8x64 bf16 't h d' 8 | k 16x8x64 bf16 't h d' 8 | v 16x8x64 bf16 't h d' 8");
  EXPECT_EQ(Describe(MakeTensorSpecs({.q_shape = "3x512", .k_shape = "4x512", .v_shape = "4x256"},
                                     {.pattern = "t (h d)", .heads = 8, .kv_heads = 4}, Packed())),
            "q 3x512 bf16 't (h d)' 8 | k 4x512 bf16 't (h d)' 4 | v 4x256 bf16 't (h d)' 4");
}

TEST(ShapeFlags, LayReplicatedTokensLikeTheOthers) {
  attention::v1::AttendRequest request;
  request.mutable_replicated()->set_k("text_k");
  EXPECT_EQ(Describe(MakeTensorSpecs(
                {.shape = "1x8x16x64", .named = {"text_k=1x5x512:bf16", "bias=8:fp32"}},
                {.pattern = "b s (h d)"}, request)),
            "q 1x16x512 bf16 'b s (h d)' 8 | k 1x16x512 bf16 'b s (h d)' 8 | "
            "v 1x16x512 bf16 'b s (h d)' 8 | text_k 1x5x512 bf16 'b s (h d)' 8 | "
            "bias 8 fp32 '' 0");
}

TEST(ShapeFlags, RefuseWhatDoesNotFitTogether) {
  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "1x8x16x64", .named = {"b=8:fp32", "b=8:fp32"}},
                                       {}, Unpacked())),
              HasSubstr("--tensor: 'b' is described twice"));

  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "1x8x16"}, {}, Unpacked())), HasSubstr("BxHxSxD"));
  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "2x8x16x64"}, {}, Packed())),
              HasSubstr("no batch axis"));
  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "2x8x16x64"}, {.heads = 4}, Unpacked())),
              HasSubstr("--heads: 4"));
  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "2x8x16x64", .dtype = "half"}, {}, Unpacked())),
              HasSubstr("--dtype: 'half'"));
  EXPECT_FALSE(MakeTensorSpecs({.shape = "2x8x16x64"}, {.pattern = "b s q"}, Unpacked()).ok());
}

}  // namespace
}  // namespace attn::cli
