/* Plug-ins that attnd refuses, one a build: BAD_... says what is wrong. */
#include "attn/attn_plugin.h"

static attn_status prepare(void* self, const attn_call* call, attn_execution* execution,
                           char* error, size_t error_size) {
  (void)self, (void)call, (void)execution, (void)error, (void)error_size;
  return ATTN_UNIMPLEMENTED;
}

static attn_status run_tile(void* self, void* state, int64_t tile, void* scratch, char* error,
                            size_t error_size) {
  (void)self, (void)state, (void)tile, (void)scratch, (void)error, (void)error_size;
  return ATTN_OK;
}

static attn_status finish(void* self, void* state, attn_result* result, char* error,
                          size_t error_size) {
  (void)self, (void)state, (void)result, (void)error, (void)error_size;
  return ATTN_OK;
}

static const attn_dtype dtypes[] = {ATTN_FP32};

static const attn_backend backend = {
    .struct_size = sizeof(attn_backend),
#if defined(BAD_NAME)
    .name = "Bad Name",
#elif defined(BAD_ALIAS)
    .name = "sdpa", /* An alias of flash. */
#else
    .name = "bad",
#endif
    .description = "Of the test.",
    .method = "nothing",
    .precision = "fp32",
    .dtypes = dtypes,
    .dtype_count = 1,
    .min_head_dim = 1,
    .max_head_dim = 256,
    .exact = 1,
    .cost_rank = 1000,
    .prepare = prepare,
#ifdef BAD_CALLBACK
    .run_tile = 0 ? run_tile : 0,
#else
    .run_tile = run_tile,
#endif
    .finish = finish,
};

static const attn_backend* const backends[] = {
    &backend,
#ifdef BAD_TWICE
    &backend,
#endif
};

static const attn_plugin plugin = {
    .struct_size = sizeof(attn_plugin),
#ifdef BAD_ABI
    .abi_version = ATTN_PLUGIN_ABI_VERSION + 1,
#else
    .abi_version = ATTN_PLUGIN_ABI_VERSION,
#endif
#ifdef BAD_RESERVED
    .reserved = 1,
#endif
    .name = "bad_plugin",
    .version = "1",
    .backends = backends,
#ifndef BAD_EMPTY
    .backend_count = sizeof(backends) / sizeof(*backends),
#endif
};

#ifdef BAD_NULL
static const attn_plugin* const described = NULL;
#else
static const attn_plugin* const described = &plugin;
#endif

#ifdef BAD_ENTRY
#define attn_plugin_describe attn_plugin_descripe
ATTN_PLUGIN_EXPORT const attn_plugin* attn_plugin_describe(void);
#endif

const attn_plugin* attn_plugin_describe(void) { return described != NULL ? &plugin : NULL; }
