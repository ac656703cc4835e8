#include "tests/kernels/plugins/plugin_tables.h"

#include <cstdint>
#include <cstdio>
#include <cstring>

namespace attn {
namespace {

attn_status CheckRatio(void*, const attn_option_value* value, char* error, size_t error_size) {
  if (value->float_value <= 1) return ATTN_OK;
  std::snprintf(error, error_size, "%g is too much, allowed: at most 1", value->float_value);
  return ATTN_INVALID_ARGUMENT;
}

constexpr attn_option Option(const char* name, attn_option_type type, const char* default_json) {
  return {sizeof(attn_option), name,           type,    default_json,
          "anything",          "Of the test.", nullptr, nullptr};
}

constexpr attn_option kFlag = Option("flag", ATTN_OPTION_BOOL, "true");
constexpr attn_option kCount = Option("count", ATTN_OPTION_INT, nullptr);
constexpr attn_option kRatio = {sizeof(attn_option), "ratio",        ATTN_OPTION_FLOAT, "0.5",
                                "at most 1",         "Of the test.", CheckRatio,        nullptr};
constexpr attn_option kMode = Option("mode", ATTN_OPTION_STRING, "\"plain\"");
constexpr attn_option kTable = Option("table", ATTN_OPTION_TENSOR, "");
constexpr const attn_option* kOptions[] = {&kFlag, &kCount, &kRatio, &kMode, &kTable};

constexpr const char* kFeatures[] = {"causal", "lse"};
constexpr attn_dtype kDTypes[] = {ATTN_FP32, ATTN_BF16};

attn_status ZeroPrepare(void*, const attn_call* call, attn_execution* execution, char*, size_t) {
  execution->state = const_cast<attn_call*>(call);
  execution->tiles = 1;
  return ATTN_OK;
}

// Of contiguous outputs.
attn_status ZeroTile(void*, void* state, int64_t, void*, char*, size_t) {
  const attn_call& call = *static_cast<const attn_call*>(state);
  const attn_problem& problem = *call.problem;
  const int64_t rows = problem.batch * problem.heads * problem.query_len;
  const int64_t element_bytes = problem.out_dtype == ATTN_FP32 ? 4 : 2;
  std::memset(call.out.data, 0, static_cast<size_t>(rows * problem.value_dim * element_bytes));
  if (call.lse.data != nullptr) std::memset(call.lse.data, 0, static_cast<size_t>(rows * 4));
  return ATTN_OK;
}

attn_status ZeroFinish(void*, void*, attn_result* result, char*, size_t) {
  result->computed_elements = 1;
  return ATTN_OK;
}

attn_status CheckArguments(void*, const double*, size_t argument_count, const attn_tensor*,
                           size_t tensor_count, char* error, size_t error_size) {
  if (argument_count == 1 && tensor_count <= 1) return ATTN_OK;
  std::snprintf(error, error_size, "%zu arguments, allowed: one", argument_count);
  return ATTN_INVALID_ARGUMENT;
}

attn_status BindLast(void*, const double* arguments, size_t, const attn_tensor*, size_t,
                     void** state, char*, size_t) {
  *state = new double(arguments[0]);
  return ATTN_OK;
}

void EvaluateLast(void*, const void* state, int64_t, int64_t, int64_t, const int64_t* keys,
                  size_t key_count, uint8_t* visible) {
  const double last = *static_cast<const double*>(state);
  for (size_t i = 0; i < key_count; ++i) {
    if (static_cast<double>(keys[i]) <= last) visible[i] = 7;  // Any number but 0 is taken as 1.
  }
}

void DestroyLast(void*, void* state) { delete static_cast<double*>(state); }

}  // namespace

attn_backend GoodBackend() {
  attn_backend table = {};
  table.struct_size = sizeof(table);
  table.name = "probe";
  table.description = "Writes zeros.";
  table.method = "nothing";
  table.precision = "fp32";
  table.features = kFeatures;
  table.feature_count = 2;
  table.dtypes = kDTypes;
  table.dtype_count = 2;
  table.min_head_dim = 8;
  table.max_head_dim = 128;
  table.exact = 0;
  table.cost_rank = 50;
  table.options = kOptions;
  table.option_count = 5;
  table.prepare = ZeroPrepare;
  table.run_tile = ZeroTile;
  table.finish = ZeroFinish;
  return table;
}

attn_mask_function GoodMaskFunction() {
  attn_mask_function table = {};
  table.struct_size = sizeof(table);
  table.name = "up_to";
  table.description = "Keys up to the argument.";
  table.check = CheckArguments;
  table.bind = BindLast;
  table.evaluate = EvaluateLast;
  table.destroy = DestroyLast;
  return table;
}

}  // namespace attn
