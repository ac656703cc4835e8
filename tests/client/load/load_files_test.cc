// What `attn load` takes and writes.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/golden/safetensors.h"
#include "client/load/text_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/load/load_fixture.h"

namespace attn::cli {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using LoadFiles = LoadCommand;

std::string TempPath(const std::string& name) {
  return absl::StrCat(testing::TempDir(), "/load_files_test_", name);
}

TEST_F(LoadFiles, ReportsEveryKeyThatIsPromised) {
  const AttnOutput output = Load({"--requests", "50"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const json load = output.json()["load"];
  for (const char* key : {"mode",
                          "environment",
                          "config",
                          "interrupted",
                          "aborted",
                          "label",
                          "concurrency",
                          "seconds",
                          "completed",
                          "failed",
                          "error_rate",
                          "errors",
                          "error_examples",
                          "retry_hints_not_followed",
                          "calls_per_s",
                          "gb_per_s",
                          "effective_gflop_per_s",
                          "computed_gflop_per_s",
                          "latency_ms",
                          "uncorrected_latency_ms",
                          "send_delay_ms",
                          "late_sends",
                          "max_in_flight",
                          "stages_ms",
                          "backends",
                          "sparsity",
                          "batch_calls",
                          "verification",
                          "entries",
                          "timeline"}) {
    EXPECT_TRUE(load.contains(key)) << key;
  }
  for (const char* times : {"latency_ms", "uncorrected_latency_ms", "send_delay_ms"}) {
    double last = 0;
    for (const char* key : {"p50", "p75", "p90", "p95", "p99", "p999", "p9999", "max"}) {
      ASSERT_TRUE(load[times].contains(key)) << times << " " << key;
      EXPECT_GE(load[times][key].get<double>(), last) << times << " " << key;
      last = load[times][key];
    }
  }
  for (const char* key : {"machine", "cpu", "cores", "kernel", "client_version", "servers"}) {
    EXPECT_TRUE(load["environment"].contains(key)) << key;
  }
  EXPECT_EQ(load["mode"], "closed");
  EXPECT_EQ(load["config"]["seed"], 1);
  EXPECT_EQ(load["config"]["workload"][0]["q_shape"], json({1, 2, 4, 8}));
  EXPECT_EQ(load["stages_ms"]["queue"]["mean"], 1.0);
  EXPECT_EQ(load["stages_ms"]["kernel"]["p99"], 4.0);
  EXPECT_EQ(load["sparsity"]["flash"]["mean"], 0.25);
  EXPECT_EQ(load["sparsity"]["flash"]["histogram"][5], 50);
  EXPECT_EQ(load["batch_calls"]["counts"]["0"], 50);
  const double flops = load["effective_gflop_per_s"].get<double>() * load["seconds"].get<double>();
  EXPECT_NEAR(flops, 50 * 8e6 / 1e9, 1e-6);
  const double bytes = load["gb_per_s"].get<double>() * load["seconds"].get<double>() * 1e9;
  EXPECT_NEAR(bytes, 50 * 4 * 64 * 2, 1) << "q, k, v and out";
}

TEST_F(LoadFiles, AWorkloadMixesItsEntries) {
  const std::string path = TempPath("mix.json");
  std::ofstream(path) << R"({"entries": [
      {"name": "a", "shape": [1, 1, 2, 8], "backend": "eager", "weight": 3},
      {"name": "b", "shape": [1, 1, 4, 8], "priority": "batch"}]})";
  std::atomic<int> batch = 0;
  service_.attend = [&](grpc::ServerContext* context, const auto& request, auto* response) {
    if (request.metadata().priority() == attention::v1::CallMetadata::BATCH) ++batch;
    return EchoQuery(context, request, response);
  };
  const auto run = [&](const char* seed) {
    return RunAttn({"load", "--workload", path, "--requests", "100", "--warmup", "0", "--seed",
                    seed, "--json"});
  };
  const AttnOutput output = run("1");
  ASSERT_EQ(output.exit_code, 0) << output.err;
  const json load = output.json()["load"];
  EXPECT_EQ(load["entries"][0]["name"], "a");
  EXPECT_EQ(load["entries"][1]["completed"], batch.load());
  EXPECT_EQ(load["backends"]["eager"], 100 - batch);
  EXPECT_EQ(run("1").json()["load"]["backends"], load["backends"]) << "the same seed";
  EXPECT_NE(run("2").json()["load"]["backends"], load["backends"]);
}

TEST_F(LoadFiles, WritesEveryReport) {
  const std::string json_out = TempPath("r.json");
  const std::string csv_out = TempPath("r.csv");
  const std::string hdr_out = TempPath("r.hdr");
  const std::string html_out = TempPath("r.html");
  const AttnOutput output = RunAttn(
      {"load",      "--shape",   "1x2x4x8",    "--warmup",   "0",          "--rate",    "500",
       "--arrival", "poisson",   "--requests", "100",        "--json_out", json_out,    "--csv_out",
       csv_out,     "--hdr_out", hdr_out,      "--html_out", html_out,     "--progress"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_THAT(output.out, AllOf(HasSubstr("p99.99"), HasSubstr("ms uncorrected")));
  const json load = json::parse(load::ReadTextFile(json_out).value(), nullptr, false)["load"];
  EXPECT_EQ(load["mode"], "open");
  EXPECT_EQ(load["completed"], 100);
  const std::string csv = load::ReadTextFile(csv_out).value();
  const std::vector<std::string> lines = absl::StrSplit(csv, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2);
  EXPECT_THAT(lines[0], AllOf(HasSubstr("calls_per_s"), HasSubstr("latency_p9999_ms")));
  for (const std::string& path : {hdr_out, hdr_out + ".uncorrected"}) {
    EXPECT_THAT(load::ReadTextFile(path).value(),
                AllOf(HasSubstr("1/(1-Percentile)"), HasSubstr("Total count    =          100]")));
  }
  const std::string html = load::ReadTextFile(html_out).value();
  EXPECT_THAT(html,
              AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("</html>"), HasSubstr("<svg"),
                    HasSubstr("<title>Latency by percentile</title>"),
                    HasSubstr("prefers-color-scheme: dark"), Not(HasSubstr("http")),
                    Not(HasSubstr("<script")), Not(HasSubstr(",nan")), Not(HasSubstr(">nan"))));
}

TEST_F(LoadFiles, TextOfOthersIsEscapedInThePage) {
  service_.attend = [](grpc::ServerContext*, const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::INTERNAL, "<script>alert(1)</script>");
  };
  const std::string html_out = TempPath("hostile.html");
  EXPECT_EQ(Load({"--requests", "2", "--html_out", html_out}).exit_code, 1);
  const std::string html = load::ReadTextFile(html_out).value();
  EXPECT_THAT(html, AllOf(HasSubstr("&lt;script&gt;"), Not(HasSubstr("<script"))));
}

TEST_F(LoadFiles, ATraceIsSentAsItStands) {
  const std::string path = TempPath("trace");
  std::ofstream(path) << "0\n0.01\n0.02\n0.2\n";
  const AttnOutput output = Load({"--trace", path});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.json()["load"]["completed"], 4);
  EXPECT_NEAR(output.json()["load"]["offered_calls_per_s"].get<double>(), 20, 0.1);
}

TEST_F(LoadFiles, RecordedCallsAreAWorkload) {
  const std::string tensors = TempPath("qkv.safetensors");
  const std::string path = TempPath("recorded.json");
  std::filesystem::remove(path);
  const std::vector<float> values(1 * 2 * 4 * 8, 0.5F);
  std::map<std::string, FileTensor, std::less<>> file;
  for (const char* name : {"q", "k", "v"}) {
    file[name] = {
        .dtype = DType::kFloat32, .shape = {1, 2, 4, 8}, .data = std::as_bytes(std::span(values))};
  }
  ASSERT_TRUE(WriteSafetensors(tensors, file, {}).ok());
  for (const char* backend : {"eager", "flash"}) {
    ASSERT_EQ(
        RunAttn({"call", tensors, "--record", path, "--backend", backend, "--causal"}).exit_code,
        0);
  }
  const json recorded = json::parse(load::ReadTextFile(path).value(), nullptr, false);
  ASSERT_EQ(recorded["entries"].size(), 2);
  EXPECT_EQ(recorded["entries"][1]["q_shape"], json({1, 2, 4, 8}));
  EXPECT_EQ(recorded["entries"][1]["mask"]["causal"], true);
  const AttnOutput output =
      RunAttn({"load", "--workload", path, "--requests", "20", "--warmup", "0", "--json"});
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(output.json()["load"]["backends"].size(), 2);
  EXPECT_EQ(RunAttn({"call", tensors, "--record", "/no/such/folder/x.json"}).exit_code, 2);
}

struct WrongArguments {
  std::vector<std::string> arguments;
  const char* says;
  int exit_code = 2;
};

TEST_F(LoadFiles, WrongArgumentsAreNamedBeforeAnyCallIsMade) {
  service_.attend = [](grpc::ServerContext*, const auto&, auto*) {
    ADD_FAILURE() << "a call was made";
    return grpc::Status::OK;
  };
  const std::string trace = TempPath("descending");
  std::ofstream(trace) << "0.5\n0.1\n";
  const std::string mix = TempPath("wrong.json");
  std::ofstream(mix) << R"({"entries": [{"shape": [1, 2, 3]}]})";
  const WrongArguments cases[] = {
      {{"--shape", "1x1x1x1", "--rate", "5", "--concurrency", "2"},
       "--rate with --concurrency; allowed: --rate (open loop"},
      {{"--shape", "1x1x1x1", "--rate", "5", "--ramp", "1:2"}, "--rate with --ramp; allowed: one"},
      {{"--shape", "1x1x1x1", "--rate", "0"}, "--rate: '0'"},
      {{"--shape", "1x1x1x1", "--concurrency", "1,x"}, "--concurrency: '1,x'; allowed: up to"},
      {{"--shape", "1x1x1x1", "--arrival", "poisson"}, "--arrival without a rate"},
      {{"--shape", "1x1x1x1", "--max_in_flight", "9"}, "--max_in_flight without a rate"},
      {{"--shape", "1x1x1x1", "--find_max_rate"}, "--find_max_rate without a rate"},
      {{"--shape", "1x1x1x1", "--find_max_rate", "--rate", "5"}, "no service level"},
      {{"--shape", "1x1x1x1", "--abort_on_slo"}, "--abort_on_slo: no service level"},
      {{"--shape", "1x1x1x1", "--verify_limit", "1"}, "--verify_limit: nothing is verified"},
      {{"--shape", "1x1x1x1", "--steps", "5:1s", "--duration", "1s"}, "--duration with --steps"},
      {{"--shape", "1x1x1x1", "--trace", trace}, "times that ascend"},
      {{"--shape", "1x1x1x1", "--trace", "/no/such/trace"}, "/no/such/trace: cannot be read"},
      {{"--shape", "1x1x1x1", "--connections", "2000"},
       "--connections: Value 2000 not in range 1 to 1024"},
      {{"--shape", "1x1x1x1", "--concurrency", "5000"}, "numbers of 1 to 4096"},
      {{"--shape", "1x1x1x1", "--warmup", "x"}, "--warmup: 'x'"},
      {{"--shape", "1x1x1"}, "BxHxSxD"},
      {{"--shape", "1x3x1x8", "--kv_heads", "2"}, "2 heads; allowed: a divisor of 3"},
      {{}, "--shape: missing"},
      {{"--workload", mix}, "entries[0].shape"},
      {{"--workload", "/no/such/mix.json"}, "/no/such/mix.json: no such file"},
      {{"--workload", mix, "--backend", "flash"}, "--backend with --workload"},
      {{"--shape", "1x1x1x1", "--json_out", "/no/such/folder/r.json"},
       "--json_out: /no/such/folder/r.json: no folder"},
      {{"--shape", "1x1x1x1", "--json_out", TempPath("a"), "--csv_out", TempPath("a")},
       "is another report's file"},
      {{"--shape", "1x1x1x1", "--target", "nowhere"}, "'nowhere' is not an address"},
      {{"--shape", "1x1x1x1", "--target", server_.tcp(), "--server", "localhost:1"},
       "--server with --target"},
      {{"--shape", "1x1x1x1", "--server", ClosedAddress()}, "cannot reach a server at", 3},
      {{"--shape", "1x1x1x1", "--target", absl::StrCat(server_.tcp(), ",", ClosedAddress())},
       "cannot reach a server at",
       3},
  };
  for (const WrongArguments& wrong : cases) {
    std::vector<std::string> arguments = {"load"};
    arguments.insert(arguments.end(), wrong.arguments.begin(), wrong.arguments.end());
    const AttnOutput output = RunAttn(arguments);
    EXPECT_EQ(output.exit_code, wrong.exit_code) << wrong.says;
    EXPECT_THAT(output.err, HasSubstr(wrong.says));
  }
}

}  // namespace
}  // namespace attn::cli
