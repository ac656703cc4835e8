#include "dilated_mask.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const double max_step = 1 << 30;

static attn_status check(void* self, const double* arguments, size_t argument_count,
                         const attn_tensor* tensors, size_t tensor_count, char* error,
                         size_t error_size) {
  (void)self, (void)tensors;
  if (argument_count != 1 || tensor_count != 0) {
    snprintf(error, error_size, "%zu arguments and %zu tensors, allowed: one argument, the step",
             argument_count, tensor_count);
    return ATTN_INVALID_ARGUMENT;
  }
  if (arguments[0] >= 1 && arguments[0] <= max_step && floor(arguments[0]) == arguments[0]) {
    return ATTN_OK;
  }
  snprintf(error, error_size, "the step is %g, allowed: an integer from 1 to %.0f", arguments[0],
           max_step);
  return ATTN_INVALID_ARGUMENT;
}

static attn_status bind(void* self, const double* arguments, size_t argument_count,
                        const attn_tensor* tensors, size_t tensor_count, void** state, char* error,
                        size_t error_size) {
  (void)self, (void)argument_count, (void)tensors, (void)tensor_count;
  uint64_t* step = malloc(sizeof(*step));
  if (step == NULL) {
    snprintf(error, error_size, "no memory");
    return ATTN_RESOURCE_EXHAUSTED;
  }
  *step = (uint64_t)arguments[0];
  *state = step;
  return ATTN_OK;
}

static void evaluate(void* self, const void* state, int64_t b, int64_t head, int64_t q,
                     const int64_t* keys, size_t key_count, uint8_t* visible) {
  (void)self, (void)b, (void)head;
  const uint64_t step = *(const uint64_t*)state;
  for (size_t i = 0; i < key_count; ++i) {
    visible[i] = keys[i] <= q && ((uint64_t)q - (uint64_t)keys[i]) % step == 0;
  }
}

static attn_extent extent(void* self, const void* state, int64_t b, int64_t head, int64_t q_begin,
                          int64_t q_end, int64_t kv_begin, int64_t kv_end) {
  (void)self, (void)b, (void)head;
  if (kv_begin > q_end - 1) return ATTN_EXTENT_NONE;
  const int all = *(const uint64_t*)state == 1 && kv_end - 1 <= q_begin;
  return all ? ATTN_EXTENT_ALL : ATTN_EXTENT_SOME;
}

static void destroy(void* self, void* state) {
  (void)self;
  free(state);
}

const attn_mask_function dilated_mask = {
    .struct_size = sizeof(attn_mask_function),
    .name = "dilated",
    .description = "Every n-th key behind the query, its own among them. Arguments: n.",
    .per_head = 0,
    .per_sample = 0,
    .check = check,
    .bind = bind,
    .evaluate = evaluate,
    .extent = extent,
    .destroy = destroy,
};
