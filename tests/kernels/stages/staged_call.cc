#include "tests/kernels/stages/staged_call.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <thread>
#include <utility>

#include "kernels/core/status_macros.h"
#include "kernels/engines/cpu/flash_backend.h"
#include "kernels/engines/reference/reference_backend.h"
#include "kernels/stages/staged_backend.h"
#include "tests/support/oracle.h"

namespace attn {
namespace {

// Axes of a rank-4 tensor as those of a tensor of the wire.
TensorView View(const OwnedTensor& tensor, const std::vector<size_t>& axes) {
  TensorView view = tensor.const_view();
  TensorLayout layout;
  for (const size_t axis : axes) {
    layout.dims[static_cast<size_t>(layout.rank)] = view.layout.dims[axis];
    layout.strides[static_cast<size_t>(layout.rank)] = view.layout.strides[axis];
    ++layout.rank;
  }
  view.layout = layout;
  return view;
}

OwnedTensor Normal(DType dtype, const std::string& pattern, std::array<int64_t, 4> dims,
                   uint64_t seed) {
  OwnedTensor tensor(dtype, pattern, dims[0], dims[1], dims[2], dims[3]);
  tensor.FillNormal(seed, 1);
  return tensor;
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double Factor(GateForm form, double x) {
  switch (form) {
    case GateForm::kNone:
      return 1;
    case GateForm::kLinear:
      return x;
    case GateForm::kSigmoid:
      return Sigmoid(x);
    case GateForm::kTwiceSigmoid:
      return 2 * Sigmoid(x);
  }
  return 1;
}

// Element d of a row after rotation.
double Rotated(const StagedCall& staged, const OwnedTensor& tensor, int64_t position, int64_t b,
               int64_t h, int64_t s, int64_t d) {
  const RotaryForm form = staged.call().problem.stages.rotary.form;
  const double x = tensor.At(b, h, s, d);
  if (form == RotaryForm::kNone) return x;
  const int64_t half = tensor.view().dim(3) / 2;
  const bool neox = form == RotaryForm::kNeox;
  const bool first = neox ? d < half : d % 2 == 0;
  const int64_t other = neox ? (first ? d + half : d - half) : (first ? d + 1 : d - 1);
  const int64_t column = form == RotaryForm::kFull ? d : neox ? d % half : d / 2;
  const int64_t sample = staged.cos.view().dim(0) == 1 ? 0 : b;
  const double cos = staged.cos.At(sample, 0, position, column);
  const double sin = staged.sin.At(sample, 0, position, column);
  const double partner = tensor.At(b, h, s, other);
  return first ? x * cos - partner * sin : x * cos + partner * sin;
}

// Fills `to` with the first tokens of `own` and then those of `behind`.
template <typename Element>
void Join(const OwnedTensor& behind, int64_t behind_len, const Element& own, OwnedTensor& to) {
  const MutableTensorView view = to.view();
  const int64_t first = view.dim(2) - behind_len;
  for (int64_t b = 0; b < view.dim(0); ++b) {
    for (int64_t h = 0; h < view.dim(1); ++h) {
      for (int64_t s = 0; s < view.dim(2); ++s) {
        for (int64_t d = 0; d < view.dim(3); ++d) {
          to.Set(b, h, s, d, s < first ? own(b, h, s, d) : behind.At(b, h, s - first, d));
        }
      }
    }
  }
}

absl::Status RunPhase(Execution& execution, int phase, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(execution.phase(phase).tiles));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
  std::atomic<size_t> next = 0;
  std::array<absl::Status, 3> statuses;
  std::vector<std::thread> workers;
  for (absl::Status& status : statuses) {
    workers.emplace_back([&] {
      Scratch scratch;
      for (size_t i = next++; i < order.size() && status.ok(); i = next++) {
        scratch.Reset();
        status = execution.RunTile(phase, order[i], scratch);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const absl::Status& status : statuses) ATTN_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

}  // namespace

StagedCall::StagedCall(const StagedShape& shape) : sent(shape.sent) {
  AttentionProblem& problem = sent.call.problem;
  CallStages& stages = problem.stages;
  problem.wanted.lse = shape.lse;
  if (!shape.lse) sent.call.lse = {};
  if (shape.original_seq_len > 0) {
    stages.trimmed = true;
    stages.original_seq_len = shape.original_seq_len;
    problem.query_len = problem.key_len = shape.original_seq_len;
  }
  AddReplicated(shape);
  AddRotary(shape);
  AddSkipping(shape);
  AddGate(shape);
  problem.mask =
      *IntervalMask::Create(shape.sent.mask, problem.batch, problem.query_len, problem.key_len);
}

void StagedCall::AddReplicated(const StagedShape& shape) {
  if (shape.replicated_queries == 0) return;
  AttentionProblem& problem = sent.call.problem;
  const int64_t queries = shape.replicated_queries;
  const int64_t keys = shape.replicated_keys;
  const auto fill = [&](OwnedTensor& tensor, const char* name, int64_t heads, int64_t tokens,
                        int64_t dim, uint64_t seed) {
    tensor =
        Normal(problem.dtype, shape.replicated_pattern, {problem.batch, heads, tokens, dim}, seed);
    sent.call.extra[name] = tensor.const_view();
  };
  fill(replicated_q, "text_q", problem.heads, queries, problem.head_dim, 101);
  fill(replicated_k, "text_k", problem.kv_heads, keys, problem.head_dim, 102);
  fill(replicated_v, "text_v", problem.kv_heads, keys, problem.value_dim, 103);
  replicated_out = OwnedTensor(problem.out_dtype, shape.replicated_pattern, problem.batch,
                               problem.heads, queries, problem.value_dim);
  sent.call.replicated_out = replicated_out.view();
  if (shape.lse) {
    replicated_lse =
        OwnedTensor(DType::kFloat32, "b h s d", problem.batch, problem.heads, queries, 1);
    sent.call.replicated_lse = replicated_lse.view();
    sent.call.replicated_lse.layout.rank = 3;
  }
  problem.stages.replicated = {"text_q", "text_k", "text_v", queries, keys};
  problem.query_len += queries;
  problem.key_len += keys;
}

void StagedCall::AddRotary(const StagedShape& shape) {
  if (shape.rotary == RotaryForm::kNone) return;
  const AttentionProblem& problem = sent.call.problem;
  const int64_t samples = shape.tables_per_sample ? problem.batch : 1;
  const int64_t columns =
      shape.rotary == RotaryForm::kFull ? problem.head_dim : problem.head_dim / 2;
  const int64_t positions =
      std::max(shape.q_offset + shape.sent.query_len, shape.k_offset + shape.sent.key_len);
  cos = Normal(shape.beside, "b h s d", {samples, 1, positions, columns}, 111);
  sin = Normal(shape.beside, "b h s d", {samples, 1, positions, columns}, 112);
  const std::vector<size_t> axes =
      samples == 1 ? std::vector<size_t>{2, 3} : std::vector<size_t>{0, 2, 3};
  sent.call.extra["cos"] = View(cos, axes);
  sent.call.extra["sin"] = View(sin, axes);
  sent.call.problem.stages.rotary = {shape.rotary, "cos", "sin", shape.q_offset, shape.k_offset};
}

void StagedCall::AddSkipping(const StagedShape& shape) {
  SkipScores& skip = sent.call.problem.stages.skip_scores;
  skip.mode = shape.skip;
  if (shape.sample_weights.empty()) return;
  const auto samples = static_cast<int64_t>(shape.sample_weights.size());
  weights = OwnedTensor(shape.beside, "b h s d", 1, 1, 1, samples);
  for (int64_t b = 0; b < samples; ++b) {
    weights.Set(0, 0, 0, b, shape.sample_weights[static_cast<size_t>(b)]);
  }
  sent.call.extra["sample_weights"] = View(weights, {3});
  skip.sample_weights = "sample_weights";
}

void StagedCall::AddGate(const StagedShape& shape) {
  if (shape.gate == GateForm::kNone) return;
  const AttentionProblem& problem = sent.call.problem;
  gate = Normal(shape.beside, "b h s d",
                {problem.batch, 1, shape.sent.query_len + shape.replicated_queries, problem.heads},
                121);
  const bool packed = shape.sent.mask.packed();
  sent.call.extra["gate"] =
      View(gate, packed ? std::vector<size_t>{2, 3} : std::vector<size_t>{0, 2, 3});
  sent.call.problem.stages.gate = {shape.gate, "gate"};
}

StagedExpectation StagedOracle(const StagedCall& staged, const CallShape& sent) {
  const AttentionProblem& problem = staged.call().problem;
  const CallStages& stages = problem.stages;
  CallShape joined_shape = sent;
  joined_shape.query_len = problem.query_len;
  joined_shape.key_len = problem.key_len;
  joined_shape.pattern = joined_shape.out_pattern = "b h s d";
  joined_shape.padding = 0;
  OwnedCall joined(joined_shape);
  joined.call.problem.modifiers = problem.modifiers;
  joined.call.extra = staged.call().extra;
  const auto rotated = [&](const OwnedTensor& tensor, int64_t offset) {
    return [&staged, &tensor, offset](int64_t b, int64_t h, int64_t s, int64_t d) {
      return Rotated(staged, tensor, offset + s, b, h, s, d);
    };
  };
  Join(staged.replicated_q, stages.replicated.query_len,
       rotated(staged.sent.q, stages.rotary.q_offset), joined.q);
  Join(staged.replicated_k, stages.replicated.key_len,
       rotated(staged.sent.k, stages.rotary.k_offset), joined.k);
  Join(
      staged.replicated_v, stages.replicated.key_len,
      [&](auto... at) { return staged.sent.v.At(at...); }, joined.v);
  const OracleResult attention = DenseOracle(joined.call);

  StagedExpectation expected;
  const int64_t main = problem.query_len - stages.replicated.query_len;
  const int64_t sent_len = staged.call().out.dim(2);
  for (int64_t b = 0; b < problem.batch; ++b) {
    double weight = 1;
    if (stages.skip_scores.mode != SkipMode::kNone) {
      weight = stages.skip_scores.sample_weights.empty() ? 0 : staged.weights.At(0, 0, 0, b);
    }
    for (int64_t h = 0; h < problem.heads; ++h) {
      for (int64_t t = 0; t < sent_len + stages.replicated.query_len; ++t) {
        const bool behind = t >= sent_len;
        const bool padding = !behind && t >= main;
        const int64_t s = behind ? t - sent_len + main : t;
        const auto row = static_cast<size_t>((b * problem.heads + h) * problem.query_len + s);
        std::vector<double>& out = behind ? expected.replicated_out : expected.out;
        std::vector<double>& lse = behind ? expected.replicated_lse : expected.lse;
        lse.push_back(padding ? -std::numeric_limits<double>::infinity() : attention.lse[row]);
        double factor = 1;
        if (stages.gate.form != GateForm::kNone) {
          factor = Factor(stages.gate.form, staged.gate.At(b, 0, t, h));
        }
        for (int64_t d = 0; d < problem.value_dim; ++d) {
          double value = 0;
          if (!padding && weight != 0) {
            value = attention
                        .out[row * static_cast<size_t>(problem.value_dim) + static_cast<size_t>(d)];
          }
          if (!padding && weight != 1) {
            const double v = joined.v.At(b, problem.kv_head(h), s, d);
            value = weight == 0 ? v : v + weight * (value - v);
          }
          out.push_back(padding ? 0 : value * factor);
        }
      }
    }
  }
  return expected;
}

absl::StatusOr<RunResult> RunShuffled(const Backend& backend, const AttentionCall& call,
                                      uint64_t seed) {
  ATTN_ASSIGN_OR_RETURN(const std::unique_ptr<Execution> execution, backend.Prepare(call));
  for (int phase = 0; phase < execution->phase_count(); ++phase) {
    ATTN_RETURN_IF_ERROR(RunPhase(*execution, phase, seed));
  }
  return execution->Finish();
}

std::vector<std::unique_ptr<Backend>> PlainBackends() {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(CreateReferenceBackend());
  backends.push_back(CreateFlashBackend(std::make_shared<CpuDevice>()));
  return backends;
}

std::vector<std::unique_ptr<Backend>> StagedBackends() {
  std::vector<std::unique_ptr<Backend>> backends;
  for (std::unique_ptr<Backend>& plain : PlainBackends()) {
    backends.push_back(WithStages(std::move(plain), BufferPool(0)));
  }
  return backends;
}

}  // namespace attn
