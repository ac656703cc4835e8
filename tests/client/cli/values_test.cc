// The parts of `attn` that need no server.
#include "absl/strings/str_join.h"
#include "client/cli/call_report.h"
#include "client/cli/parse_values.h"
#include "client/cli/printable.h"
#include "client/cli/shape_flags.h"
#include "client/cli/table.h"
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
    const AlignedBuffer a = load::RandomTensor(dtype, shape, 1).value();
    EXPECT_EQ(a.size(), ByteSize(dtype, 64 * 64));
    EXPECT_EQ(view(a), view(load::RandomTensor(dtype, shape, 1).value()));
    EXPECT_NE(view(a), view(load::RandomTensor(dtype, shape, 2).value()));
  }
  EXPECT_FALSE(load::RandomTensor(DType::kInt8, shape, 1).ok());
}

std::string Describe(const absl::StatusOr<std::vector<load::TensorSpec>>& specs) {
  if (!specs.ok()) return std::string(specs.status().message());
  return absl::StrJoin(*specs, " | ", [](std::string* out, const load::TensorSpec& spec) {
    absl::StrAppend(out, spec.name, " ", absl::StrJoin(spec.shape, "x"), " ", Name(spec.dtype),
                    " '", spec.pattern, "' ", spec.heads);
  });
}

TEST(ShapeFlags, LayTheTensorsOut) {
  EXPECT_EQ(Describe(MakeTensorSpecs({.shape = "1x8x16x64"}, {}, false)),
            "q 1x8x16x64 bf16 'b h s d' 8 | k 1x8x16x64 bf16 'b h s d' 8 | "
            "v 1x8x16x64 bf16 'b h s d' 8");
  EXPECT_EQ(Describe(MakeTensorSpecs(
                {.shape = "2x8x16x64", .key_len = 5, .value_dim = 32, .dtype = "fp32"},
                {.pattern = "b s (n d)", .kv_heads = 2}, false)),
            "q 2x16x512 fp32 'b s (h d)' 8 | k 2x5x128 fp32 'b s (h d)' 2 | "
            "v 2x5x64 fp32 'b s (h d)' 2");
  EXPECT_EQ(Describe(MakeTensorSpecs({.shape = "1x8x16x64"}, {}, true)),
            "q 16x8x64 bf16 't h d' 8 | k 16x8x64 bf16 't h d' 8 | v 16x8x64 bf16 't h d' 8");
  EXPECT_EQ(Describe(MakeTensorSpecs({.q_shape = "3x512", .k_shape = "4x512", .v_shape = "4x256"},
                                     {.pattern = "t (h d)", .heads = 8, .kv_heads = 4}, true)),
            "q 3x512 bf16 't (h d)' 8 | k 4x512 bf16 't (h d)' 4 | v 4x256 bf16 't (h d)' 4");
}

TEST(ShapeFlags, RefuseWhatDoesNotFitTogether) {
  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "1x8x16"}, {}, false)), HasSubstr("BxHxSxD"));
  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "2x8x16x64"}, {}, true)),
              HasSubstr("no batch axis"));
  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "2x8x16x64"}, {.heads = 4}, false)),
              HasSubstr("--heads: 4"));
  EXPECT_THAT(Describe(MakeTensorSpecs({.shape = "2x8x16x64", .dtype = "half"}, {}, false)),
              HasSubstr("--dtype: 'half'"));
  EXPECT_FALSE(MakeTensorSpecs({.shape = "2x8x16x64"}, {.pattern = "b s q"}, false).ok());
}

}  // namespace
}  // namespace attn::cli
