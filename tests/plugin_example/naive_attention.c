#include "naive_attention.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- One call */

/* A tile is `rows` queries of one head of one sample. */
typedef struct {
  const attn_call* call;
  int64_t rows;
  int64_t row_tiles;       /* Of a head. */
  atomic_llong elements;   /* Visible scores so far, of all tiles. */
} state_t;

/* What a tile works in: [Sk] scores, [Dv] sums, [Sk] flags. */
typedef struct {
  double* scores;
  double* sums;
  uint8_t* visible;
} scratch_t;

static int64_t scratch_bytes(const attn_problem* problem) {
  const int64_t doubles = problem->key_len + problem->value_dim;
  return doubles * (int64_t)sizeof(double) + problem->key_len;
}

static scratch_t split_scratch(const attn_problem* problem, void* memory) {
  scratch_t scratch;
  scratch.scores = memory;
  scratch.sums = scratch.scores + problem->key_len;
  scratch.visible = (uint8_t*)(scratch.sums + problem->value_dim);
  return scratch;
}

/* --- Elements of tensors */

static int64_t offset(const int64_t* strides, int64_t i, int64_t j, int64_t k, int64_t l) {
  return i * strides[0] + j * strides[1] + k * strides[2] + l * strides[3];
}

static double fp16_to_double(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const double fraction = bits & 0x3ff;
  double value;
  if (exponent == 0x1f) {
    value = fraction != 0 ? NAN : INFINITY;
  } else if (exponent == 0) {
    value = ldexp(fraction, -24);
  } else {
    value = ldexp(1024 + fraction, exponent - 25);
  }
  return bits & 0x8000 ? -value : value;
}

static double bf16_to_double(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof(value));
  return value;
}

/* A bias has the dtype that the caller chose, whatever that of q is. */
static double bias_at(const attn_tensor* bias, int64_t at) {
  switch (bias->dtype) {
    case ATTN_FP16:
      return fp16_to_double(((const uint16_t*)bias->data)[at]);
    case ATTN_BF16:
      return bf16_to_double(((const uint16_t*)bias->data)[at]);
    default:
      return ((const float*)bias->data)[at];
  }
}

/* --- One query */

typedef struct {
  int64_t b, head, kv_head, q;
} query_t;

static double score_of(const attn_call* call, query_t at, int64_t key, int64_t aligned) {
  const attn_problem* problem = call->problem;
  const float* q = (const float*)call->q.data + offset(call->q.strides, at.b, at.head, at.q, 0);
  const float* k = (const float*)call->k.data + offset(call->k.strides, at.b, at.kv_head, key, 0);
  double product = 0;
  for (int64_t d = 0; d < problem->head_dim; ++d) {
    product += (double)q[d * call->q.strides[3]] * (double)k[d * call->k.strides[3]];
  }
  double score = problem->scale * product;
  if (problem->softcap != 0) score = problem->softcap * tanh(score / problem->softcap);
  if (call->bias.data != NULL) {
    score += bias_at(&call->bias, offset(call->bias.strides, at.b, at.head, at.q, key));
  }
  if (call->alibi_slopes != NULL) {
    const double slope = call->alibi_slopes[at.b * problem->heads + at.head];
    score -= slope * fabs((double)(aligned - key));
  }
  return score;
}

/* Writes 0 to the outputs of a query that attends nothing. */
static void store_nothing(const attn_call* call, query_t at, double lse) {
  float* out = (float*)call->out.data + offset(call->out.strides, at.b, at.head, at.q, 0);
  for (int64_t d = 0; d < call->problem->value_dim; ++d) out[d * call->out.strides[3]] = 0;
  if (call->lse.data != NULL) {
    ((float*)call->lse.data)[offset(call->lse.strides, at.b, at.head, at.q, 0)] = (float)lse;
  }
  if (call->weights.data == NULL) return;
  float* weights =
      (float*)call->weights.data + offset(call->weights.strides, at.b, at.head, at.q, 0);
  for (int64_t key = 0; key < call->problem->key_len; ++key) {
    weights[key * call->weights.strides[3]] = 0;
  }
}

/* Turns scores of the visible keys of [begin, end) into weights that are not divided yet; returns
 * their sum with the sink's, and the score that all of them are relative to. */
static double exponentiate(scratch_t scratch, int64_t begin, int64_t end, double sink,
                           double* largest) {
  *largest = sink;
  for (int64_t key = begin; key < end; ++key) {
    if (scratch.visible[key] && !(scratch.scores[key] <= *largest)) *largest = scratch.scores[key];
  }
  if (*largest == -INFINITY) return 0;
  double sum = sink == -INFINITY ? 0 : exp(sink - *largest);
  for (int64_t key = begin; key < end; ++key) {
    scratch.scores[key] = scratch.visible[key] ? exp(scratch.scores[key] - *largest) : 0;
    sum += scratch.scores[key];
  }
  return sum;
}

static void store(const attn_call* call, query_t at, scratch_t scratch, int64_t begin, int64_t end,
                  double sum, double lse) {
  store_nothing(call, at, lse);
  const attn_problem* problem = call->problem;
  memset(scratch.sums, 0, (size_t)problem->value_dim * sizeof(double));
  const float* v = (const float*)call->v.data + offset(call->v.strides, at.b, at.kv_head, 0, 0);
  for (int64_t key = begin; key < end; ++key) {
    if (!scratch.visible[key]) continue;
    const double weight = scratch.scores[key] / sum;
    for (int64_t d = 0; d < problem->value_dim; ++d) {
      scratch.sums[d] += weight * v[key * call->v.strides[2] + d * call->v.strides[3]];
    }
    if (call->weights.data != NULL) {
      ((float*)call->weights.data)[offset(call->weights.strides, at.b, at.head, at.q, key)] =
          (float)weight;
    }
  }
  float* out = (float*)call->out.data + offset(call->out.strides, at.b, at.head, at.q, 0);
  for (int64_t d = 0; d < problem->value_dim; ++d) {
    out[d * call->out.strides[3]] = (float)scratch.sums[d];
  }
}

/* Returns how many keys the query attends. */
static int64_t attend(const attn_call* call, query_t at, scratch_t scratch) {
  const attn_problem* problem = call->problem;
  const attn_host* host = problem->host;
  int64_t begin = 0, end = 0, aligned = 0, count = 0;
  /* The query is one of the call: none of these fails. */
  host->visible_keys(call, at.b, at.q, &begin, &end);
  host->mask_row(call, at.b, at.head, at.q, begin, end - begin, scratch.visible + begin);
  host->end_aligned_key(call, at.b, at.q, &aligned);
  for (int64_t key = begin; key < end; ++key) {
    if (!scratch.visible[key]) continue;
    scratch.scores[key] = score_of(call, at, key, aligned);
    ++count;
  }
  const int has_sink = call->sinks != NULL && host->is_padding(call, at.b, at.q) == 0;
  double largest = 0;
  const double sum =
      exponentiate(scratch, begin, end, has_sink ? call->sinks[at.head] : -INFINITY, &largest);
  if (largest == -INFINITY) {
    store_nothing(call, at, -INFINITY);
  } else {
    store(call, at, scratch, begin, end, sum, largest + log(sum));
  }
  return count;
}

/* --- Callbacks */

static attn_status check_rows(void* self, const attn_option_value* value, char* error,
                              size_t error_size) {
  (void)self;
  if (value->int_value >= 1 && value->int_value <= 1024) return ATTN_OK;
  snprintf(error, error_size, "%lld is out of range, allowed: 1 to 1024",
           (long long)value->int_value);
  return ATTN_INVALID_ARGUMENT;
}

static attn_status prepare(void* self, const attn_call* call, attn_execution* execution,
                           char* error, size_t error_size) {
  (void)self;
  const attn_problem* problem = call->problem;
  state_t* state = malloc(sizeof(state_t));
  if (state == NULL) {
    snprintf(error, error_size, "no memory");
    return ATTN_RESOURCE_EXHAUSTED;
  }
  state->call = call;
  problem->host->get_int(call->options, "rows", &state->rows); /* It has a default. */
  state->row_tiles = (problem->query_len + state->rows - 1) / state->rows;
  atomic_init(&state->elements, 0);
  execution->state = state;
  execution->tiles = problem->batch * problem->heads * state->row_tiles;
  execution->scratch_bytes = scratch_bytes(problem);
  return ATTN_OK;
}

static attn_status run_tile(void* self, void* state, int64_t tile, void* memory, char* error,
                            size_t error_size) {
  (void)self, (void)error, (void)error_size;
  state_t* execution = state;
  const attn_problem* problem = execution->call->problem;
  const int64_t sample_and_head = tile / execution->row_tiles;
  query_t at;
  at.b = sample_and_head / problem->heads;
  at.head = sample_and_head % problem->heads;
  at.kv_head = at.head / (problem->heads / problem->kv_heads);
  if (execution->call->idle_samples != NULL && execution->call->idle_samples[at.b]) return ATTN_OK;
  const int64_t first = tile % execution->row_tiles * execution->rows;
  int64_t elements = 0;
  for (at.q = first; at.q < first + execution->rows && at.q < problem->query_len; ++at.q) {
    elements += attend(execution->call, at, split_scratch(problem, memory));
  }
  atomic_fetch_add(&execution->elements, elements);
  return ATTN_OK;
}

static attn_status finish(void* self, void* state, attn_result* result, char* error,
                          size_t error_size) {
  (void)self, (void)error, (void)error_size;
  result->computed_elements = (double)atomic_load(&((state_t*)state)->elements);
  return ATTN_OK;
}

static void destroy(void* self, void* state) {
  (void)self;
  free(state);
}

/* --- What it declares */

static const attn_option rows_option = {
    .struct_size = sizeof(attn_option),
    .name = "rows",
    .type = ATTN_OPTION_INT,
    .default_json = "16",
    .allowed = "1 to 1024",
    .description = "Queries that one thread computes at a time.",
    .check = check_rows,
};
static const attn_option* const options[] = {&rows_option};

static const char* const features[] = {
    "causal", "window", "lengths", "packed", "expression", "gqa", "scale",
    "softcap", "bias", "alibi", "sinks", "replicated", "lse", "weights",
};
static const attn_dtype dtypes[] = {ATTN_FP32};

const attn_backend naive_attention = {
    .struct_size = sizeof(attn_backend),
    .name = "naive_c",
    .description = "Exact attention by its definition, an example of a plug-in.",
    .method = "dense",
    .precision = "fp64",
    .features = features,
    .feature_count = sizeof(features) / sizeof(*features),
    .dtypes = dtypes,
    .dtype_count = 1,
    .min_head_dim = 1,
    .max_head_dim = 256,
    .exact = 1,
    .cost_rank = 1000,
    .options = options,
    .option_count = 1,
    .prepare = prepare,
    .run_tile = run_tile,
    .finish = finish,
    .destroy = destroy,
};
