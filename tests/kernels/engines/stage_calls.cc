#include "tests/kernels/engines/stage_calls.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "tests/support/oracle.h"

namespace attn {
namespace {

using Calls = std::vector<std::unique_ptr<FeatureCall>>;

std::unique_ptr<FeatureCall> Begin(const std::string& name, const CallShape& shape) {
  auto call = std::make_unique<FeatureCall>();
  call->name = name;
  call->on = std::make_unique<OwnedCall>(shape);
  call->off = std::make_unique<OwnedCall>(shape);
  return call;
}

// A tensor that `on` names; `shape` has as many elements as the dimensions.
OwnedTensor& NameTensor(FeatureCall& call, const std::string& name,
                        const std::array<int64_t, 4>& dims, const std::vector<int64_t>& shape) {
  call.more.push_back(std::make_unique<OwnedTensor>(DType::kFloat32, "b h s d", dims[0], dims[1],
                                                    dims[2], dims[3]));
  OwnedTensor& tensor = *call.more.back();
  call.on->call.extra[name] = {tensor.view().data, DType::kFloat32,
                               TensorLayout::Contiguous(shape)};
  return tensor;
}

// Tokens [first, first + count) of all heads become those of `to` from `at` on.
void CopyInto(const OwnedTensor& from, int64_t first, int64_t count, OwnedTensor& to, int64_t at) {
  for (int64_t b = 0; b < to.view().dim(0); ++b) {
    for (int64_t h = 0; h < to.view().dim(1); ++h) {
      for (int64_t s = 0; s < count; ++s) {
        for (int64_t d = 0; d < to.view().dim(3); ++d) {
          to.Set(b, h, at + s, d, from.At(b, h, first + s, d));
        }
      }
    }
  }
}

// Element (b, h, s, d) of [B, H, S, D].
size_t At(const OwnedTensor& like, int64_t b, int64_t h, int64_t s, int64_t d) {
  const MutableTensorView view = like.view();
  return static_cast<size_t>(((b * view.dim(1) + h) * view.dim(2) + s) * view.dim(3) + d);
}

void ForEach(const OwnedTensor& like,
             const std::function<void(int64_t, int64_t, int64_t, int64_t)>& visit) {
  const MutableTensorView view = like.view();
  for (int64_t b = 0; b < view.dim(0); ++b) {
    for (int64_t h = 0; h < view.dim(1); ++h) {
      for (int64_t s = 0; s < view.dim(2); ++s) {
        for (int64_t d = 0; d < view.dim(3); ++d) visit(b, h, s, d);
      }
    }
  }
}

// x by row `offset + token` of the tables.
void Rotate(RotaryForm form, const OwnedTensor& cos, const OwnedTensor& sin, int64_t offset,
            const OwnedTensor& from, OwnedTensor& to) {
  const int64_t dim = from.view().dim(3);
  const int64_t samples = cos.view().dim(1);
  ForEach(from, [&](int64_t b, int64_t h, int64_t s, int64_t d) {
    const bool neox = form == RotaryForm::kNeox;
    const bool first = neox ? d < dim / 2 : d % 2 == 0;
    const int64_t other = neox ? (first ? d + dim / 2 : d - dim / 2) : (first ? d + 1 : d - 1);
    const int64_t column = form == RotaryForm::kFull ? d : (neox ? d % (dim / 2) : d / 2);
    const int64_t table = samples == 1 ? 0 : b;
    const double turned = from.At(b, h, s, other) * (first ? -1 : 1);
    to.Set(b, h, s, d,
           from.At(b, h, s, d) * cos.At(0, table, offset + s, column) +
               turned * sin.At(0, table, offset + s, column));
  });
}

// sigmoid and the like of a gate's element.
double Gate(GateForm form, double x) {
  const double sigmoid = 1 / (1 + std::exp(-x));
  if (form == GateForm::kSigmoid) return sigmoid;
  return form == GateForm::kTwiceSigmoid ? 2 * sigmoid : x;
}

// Adds a gate to `on` and to what is expected of it.
void AddGate(FeatureCall& call, GateForm form) {
  const AttentionProblem& problem = call.on->call.problem;
  std::vector<int64_t> shape = {problem.batch, problem.query_len, problem.heads};
  if (problem.mask.spec().packed()) shape.erase(shape.begin());
  OwnedTensor& gate =
      NameTensor(call, "gate", {1, problem.batch, problem.query_len, problem.heads}, shape);
  gate.FillNormal(91, 1);
  call.on->call.problem.stages.gate = {form, "gate"};
  ForEach(call.on->out, [&](int64_t b, int64_t h, int64_t s, int64_t d) {
    call.out[At(call.on->out, b, h, s, d)] *= Gate(form, gate.At(0, b, s, h));
  });
}

}  // namespace

std::vector<std::unique_ptr<FeatureCall>> RotaryCalls() {
  struct Row {
    const char* name;
    RotaryForm form;
    int64_t table_samples;  // 0 = tables of rank 2.
    int64_t q_offset;
    int64_t k_offset;
  };
  Calls calls;
  for (const Row& row :
       {Row{"interleaved", RotaryForm::kInterleaved, 0, 0, 0},
        Row{"interleaved_offsets", RotaryForm::kInterleaved, 3, 20, 0},
        Row{"neox", RotaryForm::kNeox, 1, 3, 5}, Row{"full", RotaryForm::kFull, 0, 0, 7}}) {
    auto call = Begin(row.name, FeatureShape());
    const int64_t columns = row.form == RotaryForm::kFull ? 16 : 8;
    const int64_t samples = std::max<int64_t>(1, row.table_samples);
    std::vector<int64_t> shape = {70, columns};
    if (row.table_samples != 0) shape.insert(shape.begin(), samples);
    OwnedTensor& cos = NameTensor(*call, "cos", {1, samples, 70, columns}, shape);
    OwnedTensor& sin = NameTensor(*call, "sin", {1, samples, 70, columns}, shape);
    ForEach(cos, [&](int64_t, int64_t b, int64_t x, int64_t c) {
      const double angle = static_cast<double>(x) / std::pow(4.0, static_cast<double>(c) / 4);
      cos.Set(0, b, x, c, std::cos(angle + static_cast<double>(b)));
      sin.Set(0, b, x, c, std::sin(1.1 * angle));  // Any numbers are allowed.
    });
    call->on->call.problem.stages.rotary = {row.form, "cos", "sin", row.q_offset, row.k_offset};
    OwnedCall rotated(FeatureShape());
    Rotate(row.form, cos, sin, row.q_offset, call->on->q, rotated.q);
    Rotate(row.form, cos, sin, row.k_offset, call->on->k, rotated.k);
    OracleResult oracle = DenseOracle(rotated.call);
    call->out = std::move(oracle.out);
    call->lse = std::move(oracle.lse);
    calls.push_back(std::move(call));
  }
  return calls;
}

std::vector<std::unique_ptr<FeatureCall>> ReplicatedCalls() {
  constexpr int64_t kQueries = 5;
  constexpr int64_t kKeys = 7;
  CallShape shape = FeatureShape();
  shape.kv_heads = 2;
  auto call = Begin("text", shape);
  AttentionCall& on = call->on->call;
  OwnedTensor& q = NameTensor(*call, "text_q", {3, 4, kQueries, 16}, {3, 4, kQueries, 16});
  OwnedTensor& k = NameTensor(*call, "text_k", {3, 2, kKeys, 16}, {3, 2, kKeys, 16});
  OwnedTensor& v = NameTensor(*call, "text_v", {3, 2, kKeys, 16}, {3, 2, kKeys, 16});
  q.FillNormal(71, 1);
  k.FillNormal(72, 1);
  v.FillNormal(73, 1);
  on.problem.stages.replicated = {"text_q", "text_k", "text_v", kQueries, kKeys};
  call->replicated_out = OwnedTensor(DType::kFloat32, "b h s d", 3, 4, kQueries, 16);
  call->replicated_lse = OwnedTensor(DType::kFloat32, "b h s d", 3, 4, kQueries, 1);
  on.replicated_out = call->replicated_out.view();
  on.replicated_lse = call->replicated_lse.view();
  on.replicated_lse.layout.rank = 3;

  shape.query_len += kQueries;
  shape.key_len += kKeys;
  shape.mask.causal = true;
  OwnedCall joined(shape);
  on.problem.query_len = shape.query_len;
  on.problem.key_len = shape.key_len;
  on.problem.mask = joined.call.problem.mask;
  CopyInto(call->on->q, 0, 48, joined.q, 0);
  CopyInto(call->on->k, 0, 48, joined.k, 0);
  CopyInto(call->on->v, 0, 48, joined.v, 0);
  CopyInto(q, 0, kQueries, joined.q, 48);
  CopyInto(k, 0, kKeys, joined.k, 48);
  CopyInto(v, 0, kKeys, joined.v, 48);
  const OracleResult oracle = DenseOracle(joined.call);
  for (size_t head = 0; head < 12; ++head) {
    for (size_t s = 0; s < 48 + kQueries; ++s) {
      const size_t row = head * (48 + kQueries) + s;
      std::vector<double>& out = s < 48 ? call->out : call->replicated;
      out.insert(out.end(), oracle.out.begin() + static_cast<int64_t>(row * 16),
                 oracle.out.begin() + static_cast<int64_t>((row + 1) * 16));
      (s < 48 ? call->lse : call->replicated_lses).push_back(oracle.lse[row]);
    }
  }
  Calls calls;
  calls.push_back(std::move(call));
  return calls;
}

// What stands beyond is NaN: nobody may read it.
std::vector<std::unique_ptr<FeatureCall>> TrimmedCalls() {
  constexpr int64_t kKept = 40;
  auto call = Begin("trimmed", FeatureShape());
  AttentionCall& on = call->on->call;
  CallShape shape = FeatureShape();
  shape.query_len = shape.key_len = kKept;
  OwnedCall kept(shape);
  for (const auto& [from, to] :
       {std::pair{&call->on->q, &kept.q}, {&call->on->k, &kept.k}, {&call->on->v, &kept.v}}) {
    CopyInto(*from, 0, kKept, *to, 0);
    ForEach(*from, [&, from = from](int64_t b, int64_t h, int64_t s, int64_t d) {
      if (s >= kKept) from->Set(b, h, s, d, std::numeric_limits<double>::quiet_NaN());
    });
  }
  on.problem.query_len = on.problem.key_len = kKept;
  on.problem.mask = kept.call.problem.mask;
  on.problem.stages.trimmed = true;
  on.problem.stages.original_seq_len = kKept;
  const OracleResult oracle = DenseOracle(kept.call);
  call->lse.assign(12 * 48, -std::numeric_limits<double>::infinity());
  call->out.assign(12 * 48 * 16, 0);
  for (int64_t head = 0; head < 12; ++head) {
    std::copy_n(oracle.lse.begin() + head * kKept, kKept, call->lse.begin() + head * 48);
    std::copy_n(oracle.out.begin() + head * kKept * 16, kKept * 16,
                call->out.begin() + head * 48 * 16);
  }
  Calls calls;
  calls.push_back(std::move(call));
  return calls;
}

std::vector<std::unique_ptr<FeatureCall>> SkipCalls() {
  struct Row {
    const char* name;
    std::vector<double> weights;  // Empty = all 0.
    bool gated;
  };
  Calls calls;
  for (const Row& row :
       {Row{"value", {}, false}, Row{"gated_value", {}, true},
        Row{"of_samples", {0, 1, 0.25}, false}, Row{"of_samples_gated", {0.5, 0, 1}, true}}) {
    CallShape shape = FeatureShape();
    shape.kv_heads = 2;
    auto call = Begin(row.name, shape);
    AttentionCall& on = call->on->call;
    on.problem.wanted.lse = false;
    on.lse = {};
    call->out = DenseOracle(on).out;
    on.problem.stages.skip_scores.mode = row.gated ? SkipMode::kGatedValue : SkipMode::kValue;
    if (!row.weights.empty()) {
      OwnedTensor& weights = NameTensor(*call, "weights", {1, 1, 1, 3}, {3});
      for (int64_t b = 0; b < 3; ++b) weights.Set(0, 0, 0, b, row.weights[static_cast<size_t>(b)]);
      on.problem.stages.skip_scores.sample_weights = "weights";
    }
    ForEach(call->on->out, [&](int64_t b, int64_t h, int64_t s, int64_t d) {
      double& out = call->out[At(call->on->out, b, h, s, d)];
      const double value = call->on->v.At(b, h / 2, s, d);
      out = value + (row.weights.empty() ? 0 : row.weights[static_cast<size_t>(b)]) * (out - value);
    });
    if (row.gated) AddGate(*call, GateForm::kTwiceSigmoid);
    calls.push_back(std::move(call));
  }
  return calls;
}

std::vector<std::unique_ptr<FeatureCall>> GateCalls() {
  struct Row {
    const char* name;
    GateForm form;
    bool packed;
  };
  Calls calls;
  for (const Row& row :
       {Row{"linear", GateForm::kLinear, false}, Row{"sigmoid", GateForm::kSigmoid, false},
        Row{"twice_sigmoid", GateForm::kTwiceSigmoid, false},
        Row{"packed", GateForm::kSigmoid, true}}) {
    CallShape shape = FeatureShape();
    if (row.packed) {
      shape.batch = 1;
      shape.mask = {.cu_seqlens_q = {0, 11, 48}, .cu_seqlens_k = {0, 11, 48}};
    }
    auto call = Begin(row.name, shape);
    OracleResult oracle = DenseOracle(call->on->call);
    call->out = std::move(oracle.out);
    call->lse = std::move(oracle.lse);
    AddGate(*call, row.form);
    calls.push_back(std::move(call));
  }
  return calls;
}

}  // namespace attn
