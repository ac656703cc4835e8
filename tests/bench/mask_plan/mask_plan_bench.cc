// How long it takes to plan a mask as `flex` does, one thread: from the expression and its tensors
// to a listed plan. Prints a table and writes JSON.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "CLI/CLI.hpp"
#include "kernels/core/mask_planning.h"
#include "nlohmann/json.hpp"

namespace attn {
namespace {

constexpr int64_t kBlock = 128;
constexpr int64_t kHeads = 8;

// A tensor of a case.
struct Tensor {
  std::string name;
  DType dtype = DType::kInt32;
  std::vector<int64_t> shape;
  std::vector<std::byte> data;
};

struct Case {
  std::string name;
  int64_t tokens = 0;
  MaskNode root;
  std::vector<Tensor> tensors;
};

Tensor Int32Tensor(const std::string& name, std::vector<int64_t> shape,
                   const std::vector<int32_t>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {name, DType::kInt32, std::move(shape), {bytes.begin(), bytes.end()}};
}

// Documents of 1500 tokens on average, as pre-training packs them.
Tensor PackedIds(int64_t tokens) {
  std::vector<int32_t> ids;
  uint32_t state = 1;
  for (int32_t id = 0; static_cast<int64_t>(ids.size()) < tokens; ++id) {
    state = state * 1664525 + 1013904223;
    const int64_t length = 1 + (state >> 8) % 3000;
    for (int64_t i = 0; i < length && static_cast<int64_t>(ids.size()) < tokens; ++i) {
      ids.push_back(id);
    }
  }
  return Int32Tensor("ids", {1, tokens}, ids);
}

// Causal, in bits, with a hole at every 97th key: no interval of keys a row.
Tensor DenseBits(int64_t tokens) {
  Tensor tensor = {"bits", DType::kBits, {1, 1, tokens, tokens}, {}};
  tensor.data.resize(static_cast<size_t>(tokens * tokens / 8));
  for (int64_t q = 0; q < tokens; ++q) {
    for (int64_t kv = 0; kv <= q; ++kv) {
      if (kv % 97 == 96) continue;
      const auto bit = static_cast<size_t>(q * tokens + kv);
      tensor.data[bit / 8] |= std::byte{1} << (bit % 8);
    }
  }
  return tensor;
}

MaskNode And(std::vector<MaskNode> args) { return {mask_op::All{std::move(args)}}; }
MaskNode Or(std::vector<MaskNode> args) { return {mask_op::Any{std::move(args)}}; }
MaskNode Causal() { return {mask_op::Causal{}}; }
MaskNode Window() { return {mask_op::SlidingWindow{4096, ""}}; }
MaskNode Packed() { return {mask_op::Packed{"ids"}}; }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const int64_t tokens : {int64_t{16384}, int64_t{65536}, int64_t{131072}}) {
    cases.push_back({"causal", tokens, Causal(), {}});
    cases.push_back(
        {"causal window packed", tokens, And({Causal(), Window(), Packed()}), {PackedIds(tokens)}});
    // A prefix apart from the window: two intervals a row.
    cases.push_back({"sink or window, packed",
                     tokens,
                     And({Causal(), Packed(),
                          Or({{mask_op::SlidingWindow{512, ""}}, {mask_op::Prefix{256, ""}}})}),
                     {PackedIds(tokens)}});
    cases.push_back(
        {"window a head",
         tokens,
         And({Causal(), {mask_op::SlidingWindow{0, "windows"}}, Packed()}),
         {PackedIds(tokens),
          Int32Tensor("windows", {kHeads}, {512, 1024, 2048, 4096, 4096, 2048, 1024, 512})}});
  }
  cases.push_back({"dense bits", 8192, {mask_op::Dense{"bits"}}, {DenseBits(8192)}});
  return cases;
}

AttentionCall CallOf(const Case& planned) {
  AttentionCall call;
  AttentionProblem& problem = call.problem;
  problem.batch = 1;
  problem.heads = problem.kv_heads = kHeads;
  problem.query_len = problem.key_len = planned.tokens;
  problem.mask = *IntervalMask::Create({}, 1, planned.tokens, planned.tokens);
  for (const Tensor& tensor : planned.tensors) {
    call.extra[tensor.name] = {tensor.data.data(), tensor.dtype,
                               TensorLayout::Contiguous(tensor.shape)};
  }
  problem.expression =
      *MaskExpression::Create({.root = planned.root}, problem.sizes(), call.extra, {});
  return call;
}

BlockPlan PlanOf(const AttentionCall& call) {
  const auto planning =
      PlanMask(call, {.block_q = kBlock, .block_k = kBlock, .implicit_intervals = false});
  Scratch scratch;
  for (int phase = 0; phase < planning->phase_count(); ++phase) {
    const int64_t tiles = planning->tiles(phase);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      scratch.Reset();
      if (!planning->RunTile(phase, tile, scratch).ok()) return {};
    }
  }
  return std::get<BlockPlan>(*planning->Take());
}

nlohmann::json Measure(const Case& planned, int rounds) {
  const AttentionCall call = CallOf(planned);
  std::vector<double> times_ms;
  int64_t listed = 0;
  int64_t partial = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const BlockPlan plan = PlanOf(call);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
    times_ms.push_back(time.count());
    listed = static_cast<int64_t>(plan.entries.size());
    partial = std::count_if(plan.entries.begin(), plan.entries.end(), [](const PlanEntry& entry) {
      return entry.mask == BlockMask::kPredicate;
    });
  }
  std::sort(times_ms.begin(), times_ms.end());
  const double median_ms = times_ms[times_ms.size() / 2];
  std::printf("%-24s %7ld %10ld %9ld %9.2f %9.2f\n", planned.name.c_str(),
              static_cast<long>(planned.tokens), static_cast<long>(listed),
              static_cast<long>(partial), median_ms, times_ms.front());
  return {{"mask", planned.name},
          {"tokens", planned.tokens},
          {"block", kBlock},
          {"listed", listed},
          {"partial", partial},
          {"median_ms", median_ms},
          {"least_ms", times_ms.front()},
          {"rounds", rounds}};
}

int Run(const std::string& path, int rounds) {
  std::printf("%-24s %7s %10s %9s %9s %9s\n", "mask", "tokens", "listed", "partial", "median ms",
              "least ms");
  nlohmann::json results = nlohmann::json::array();
  for (const Case& planned : Cases()) results.push_back(Measure(planned, rounds));
  if (path.empty()) return 0;
  std::ofstream(path) << results.dump(2) << "\n";
  return 0;
}

}  // namespace
}  // namespace attn

int main(int argc, char** argv) {
  CLI::App app("Times the planning of masks, one thread, blocks of 128 x 128.");
  std::string json;
  int rounds = 9;
  app.add_option("--json", json, "Write the results to this file.");
  app.add_option("--rounds", rounds, "Plans of each mask; the median counts.");
  CLI11_PARSE(app, argc, argv);
  return attn::Run(json, rounds);
}
