#include "client/cli/case_checks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/case_request.h"
#include "client/golden/tensor_compare.h"

namespace attn::cli {
namespace {

// What 16-bit inputs and outputs add to a case's own limits.
struct Rounding {
  double output = 0;      // Half an ulp of the output dtype, relative.
  double arithmetic = 0;  // Probabilities rounded to the input dtype before P.V.
};
constexpr Rounding kBFloat16Rounding{0x1p-9, 5e-3};
constexpr Rounding kFloat16Rounding{0x1p-12, 1e-3};
// Rotated queries and keys are rounded to the input dtype once more.
constexpr double kRopeRelL2 = 1.2e-2;
// LSE: scores of 16-bit inputs are summed in another order, an error that grows with their size.
constexpr double kLseAbsolute = 1e-3;
constexpr double kLseRelative = 1e-5;

struct Limits {
  std::optional<double> rel_l2;
  std::optional<double> max_abs;
};

bool UsesRope(const GoldenCase& golden_case, const Expectation& expectation) {
  for (const OptionMap* options : {&expectation.with, &golden_case.options}) {
    const auto rope = options->find("rope");
    if (rope != options->end()) return rope->second != OptionValue{std::string("none")};
  }
  return false;
}

// Half the distance to the next larger value of `dtype` at the largest finite magnitude.
double HalfUlp(std::span<const double> values, DType dtype) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest == 0 ? 0 : std::ldexp(Epsilon(dtype) / 2, std::ilogb(largest));
}

Limits LimitsOf(const GoldenCase& golden_case, const Expectation& expectation,
                std::span<const double> expected, DType sent) {
  Limits limits{expectation.rel_l2, expectation.max_abs};
  if (expectation.exact) limits = {0, 0};
  if (sent == DType::kFloat32 || expectation.output == "weights") return limits;
  const Rounding& rounding = sent == DType::kBFloat16 ? kBFloat16Rounding : kFloat16Rounding;
  const double rel_l2 = limits.rel_l2.value_or(0);
  const bool quantised =
      !golden_case.run_dtype.empty() || expectation.tensor.starts_with("out_quantised");
  if (quantised) {
    if (limits.max_abs.has_value()) *limits.max_abs += HalfUlp(expected, sent);
    return {rel_l2 + rounding.output, limits.max_abs};
  }
  if (UsesRope(golden_case, expectation)) return {kRopeRelL2, std::nullopt};
  return {rel_l2 + rounding.arithmetic + rounding.output, std::nullopt};
}

void CompareWithin(const Limits& limits, std::span<const double> actual,
                   std::span<const double> expected, Check* check) {
  const Difference difference = Compare(actual, expected);
  check->rel_l2_limit = limits.rel_l2;
  check->max_abs_limit = limits.max_abs;
  if (limits.rel_l2.has_value()) check->rel_l2 = difference.rel_l2;
  if (limits.max_abs.has_value()) check->max_abs = difference.max_abs;
  check->passed = (!limits.rel_l2.has_value() || difference.rel_l2 <= *limits.rel_l2) &&
                  (!limits.max_abs.has_value() || difference.max_abs <= *limits.max_abs);
}

// Every element has its own limit; the figures are those of the one that comes closest to it.
void CompareLse(double absolute, std::span<const double> actual, std::span<const double> expected,
                Check* check) {
  check->max_abs = 0;
  check->max_abs_limit = absolute;
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const Difference one = Compare(actual.subspan(i, 1), expected.subspan(i, 1));
    if (one.max_abs == 0) continue;
    const double size = std::isfinite(expected[i]) ? std::abs(expected[i]) : 0;
    const double limit = absolute + kLseRelative * size;
    if (one.max_abs / limit <= worst) continue;
    worst = one.max_abs / limit;
    check->max_abs = one.max_abs;
    check->max_abs_limit = limit;
  }
  check->passed = worst <= 1;
}

std::string ShapeText(std::span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape.begin(), shape.end(), ","), "]");
}

// Levels block by block; samples and heads that share one plan may be given once on either side.
void ComparePlans(const FileTensor& actual_tensor, std::span<const double> actual,
                  const FileTensor& expected_tensor, std::span<const double> expected,
                  Check* check) {
  const std::vector<int64_t>& a = actual_tensor.shape;
  const std::vector<int64_t>& e = expected_tensor.shape;
  const bool comparable = a.size() == 4 && e.size() == 4 &&
                          (a[0] == e[0] || a[0] == 1 || e[0] == 1) &&
                          (a[1] == e[1] || a[1] == 1 || e[1] == 1) && a[2] == e[2] && a[3] == e[3];
  if (!comparable) {
    check->problem = absl::StrCat("a plan of shape ", ShapeText(a), " instead of ", ShapeText(e));
    return;
  }
  const int64_t batch = a[0] == 1 ? e[0] : a[0];
  const int64_t heads = a[1] == 1 ? e[1] : a[1];
  const int64_t blocks = e[2] * e[3];
  const auto plan_of = [blocks](std::span<const double> levels, const std::vector<int64_t>& shape,
                                int64_t b, int64_t h) {
    const int64_t index = (shape[0] == 1 ? 0 : b) * shape[1] + (shape[1] == 1 ? 0 : h);
    return levels.subspan(static_cast<size_t>(index * blocks), static_cast<size_t>(blocks));
  };
  int64_t differing = 0;
  for (int64_t plan = 0; plan < batch * heads; ++plan) {
    const std::span<const double> got = plan_of(actual, a, plan / heads, plan % heads);
    const std::span<const double> wanted = plan_of(expected, e, plan / heads, plan % heads);
    for (size_t block = 0; block < wanted.size(); ++block) {
      if (got[block] == wanted[block] || differing++ > 0) continue;
      const auto at = static_cast<int64_t>(block);
      check->problem = absl::StrCat(
          "first at ",
          ShapeText(std::vector<int64_t>{plan / heads, plan % heads, at / e[3], at % e[3]}),
          ": level ", got[block], " instead of ", wanted[block]);
    }
  }
  check->passed = differing == 0;
  if (differing > 0) {
    check->problem = absl::StrCat("the plan differs in ", differing, " of ", batch * heads * blocks,
                                  " blocks, ", check->problem);
  }
}

// Drops all but the first `rows` along the axis that counts tokens. False if there is none, or if
// it is shorter.
bool KeepFirstRows(int axis, int64_t rows, std::vector<int64_t>* shape,
                   std::vector<double>* values) {
  if (axis < 0 || axis >= static_cast<int>(shape->size())) return false;
  const auto at = shape->begin() + axis;
  if (*at < rows) return false;
  int64_t inner = 1;
  for (auto size = at + 1; size != shape->end(); ++size) inner *= *size;
  const int64_t old_stride = *at * inner;
  const int64_t stride = rows * inner;
  std::vector<double> kept;
  for (int64_t begin = 0; begin < static_cast<int64_t>(values->size()); begin += old_stride) {
    kept.insert(kept.end(), values->begin() + begin, values->begin() + begin + stride);
  }
  *at = rows;
  *values = std::move(kept);
  return true;
}

int TokenAxis(const GoldenCase& golden_case, const Expectation& expectation,
              const std::vector<int64_t>& shape) {
  if (expectation.output == "lse") return static_cast<int>(shape.size()) - 1;
  if (expectation.output == "weights") return static_cast<int>(shape.size()) - 2;
  return SequenceAxis(OutPattern(golden_case));
}

}  // namespace

Check CheckOutput(const GoldenCase& golden_case, const Expectation& expectation,
                  const FileTensor& expected, const FileTensor& actual, DType sent) {
  Check check;
  check.output = expectation.output;
  absl::StatusOr<std::vector<double>> wanted = ToDoubles(expected);
  absl::StatusOr<std::vector<double>> got = ToDoubles(actual);
  if (!wanted.ok() || !got.ok()) {
    check.problem = std::string((wanted.ok() ? got : wanted).status().message());
    return check;
  }
  if (expectation.output == "plan") {
    ComparePlans(actual, *got, expected, *wanted, &check);
    return check;
  }
  std::vector<int64_t> wanted_shape = expected.shape;
  std::vector<int64_t> got_shape = actual.shape;
  bool comparable = true;
  if (expectation.rows.has_value()) {
    const int axis = TokenAxis(golden_case, expectation, expected.shape);
    comparable = KeepFirstRows(axis, *expectation.rows, &wanted_shape, &*wanted) &&
                 KeepFirstRows(axis, *expectation.rows, &got_shape, &*got);
  }
  if (!comparable || wanted_shape != got_shape) {
    check.problem =
        absl::StrCat("shape ", ShapeText(actual.shape), " instead of ", ShapeText(expected.shape));
    if (expectation.rows.has_value()) {
      absl::StrAppend(&check.problem, ", of which ", *expectation.rows, " rows count");
    }
    return check;
  }
  if (expectation.output == "lse" && sent != DType::kFloat32) {
    const double own = expectation.max_abs.value_or(0);
    CompareLse(std::max(own, kLseAbsolute), *got, *wanted, &check);
  } else {
    CompareWithin(LimitsOf(golden_case, expectation, *wanted, sent), *got, *wanted, &check);
  }
  return check;
}

}  // namespace attn::cli
