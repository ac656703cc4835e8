/* Plug-ins of attnd: backends and mask functions in a shared library of one's own.
 *
 * A plug-in is a shared library, NAME.so, that exports one function:
 *
 *   const attn_plugin* attn_plugin_describe(void);
 *
 * attnd loads every *.so of the folder that its key `plugin_dir` names, when it starts, in the
 * order of their names. What the description says is checked first; a library with a mistake
 * anywhere is left out as a whole, and the log says why.
 *
 * A plug-in is code in the server's process. Nothing protects the server from one that crashes,
 * writes where it may not, or never returns.
 *
 * OWNERSHIP. The description and everything that it points to stay unchanged while the library is
 * loaded: make it static. Everything that the server passes to a callback belongs to the server and
 * is valid until that callback returns, but for the call of `prepare`, which lives until `destroy`.
 * What a plug-in allocates it frees in `destroy`. The server never frees a plug-in's memory nor the
 * reverse.
 *
 * THREADS. Any callback may run on any thread, and many at once, of one table and of different
 * ones. Of one execution: `prepare` first, then all tiles in any order and at the same time,
 * `finish` when all have ended, and then `destroy`. A call may be dropped after any tile: then
 * `destroy` comes without `finish`, once no tile runs any more. Callbacks start no threads that
 * outlive the call: tiles are the way to compute in parallel. They should return soon, within
 * milliseconds: a deadline and a cancelled call are noticed between tiles.
 *
 * ERRORS. Callbacks that can fail return ATTN_OK or another attn_status, and may first write a text
 * into `error`: one line of ASCII, ended by a zero byte, cut to `error_size` bytes with it
 * (snprintf does that). The caller of the service reads it, so that it holds no paths, addresses or
 * other callers' data. The buffer is empty when the callback is entered. A C++ plug-in must not let
 * exceptions out; one that comes ends the call as ATTN_INTERNAL does.
 *
 * TEXTS that a table declares (descriptions, `allowed`, a version) are one line of 1 to 512 bytes
 * of printable ASCII, ended by a zero byte; names have rules of their own.
 *
 * UNITS. Sizes count elements, names ending in _bytes bytes. B samples, H query heads, G key heads
 * (H is a multiple of G; query head h reads key head h / (H / G)), Sq queries, Sk keys, D elements
 * of a head of q and k, Dv of v and out.
 *
 * VERSIONS. A plug-in is built for one ATTN_PLUGIN_ABI_VERSION, and a server loads those of its
 * own. Within a version structures that begin with `struct_size` only grow, at their ends:
 * `struct_size` is what their maker knew. What a plug-in did not know counts as zero; what the
 * server does not know must be zero. A plug-in that reads a member which a later header added looks
 * first whether the `struct_size` that it was given reaches so far. Structures without one
 * (attn_option_value, attn_tensor, attn_output) never change within a version. */
#ifndef ATTN_PLUGIN_H_
#define ATTN_PLUGIN_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Names as C has them. NOLINTBEGIN(readability-identifier-naming) */

#define ATTN_PLUGIN_ABI_VERSION 1u

/* How the entry function is to be declared, whatever -fvisibility says. */
#define ATTN_PLUGIN_EXPORT __attribute__((visibility("default")))

/* What callbacks return. Any other number counts as ATTN_INTERNAL. */
typedef int32_t attn_status;
enum {
  ATTN_OK = 0,
  ATTN_INVALID_ARGUMENT = 1,   /* The call is wrong, for every server. */
  ATTN_UNIMPLEMENTED = 2,      /* The call is right, this backend does not serve it. */
  ATTN_RESOURCE_EXHAUSTED = 3, /* No memory. */
  /* The plug-in's bug. Of a backend: several in a row, and the server quarantines it. Of a mask
   * function: the call ends as UNKNOWN, and counts against no backend. */
  ATTN_INTERNAL = 4
};

typedef int32_t attn_dtype;
enum {
  ATTN_FP32 = 0,
  ATTN_FP16 = 1,
  ATTN_BF16 = 2,
  ATTN_INT32 = 3,
  ATTN_INT64 = 4,
  ATTN_UINT8 = 5,
  ATTN_INT8 = 6,
  ATTN_BITS = 7 /* One bit an element, least significant first, rows not padded. */
};

#define ATTN_MAX_RANK 6

/* Element (i, j, ...) stands at data + (i * strides[0] + j * strides[1] + ...) elements. Strides
 * are in any order, may leave gaps and, where an axis is broadcast, are 0. */
typedef struct attn_tensor {
  const void* data; /* NULL = there is no such tensor, or it is checked before it has arrived. */
  attn_dtype dtype;
  int32_t rank;
  int64_t dims[ATTN_MAX_RANK];
  int64_t strides[ATTN_MAX_RANK];
} attn_tensor;

/* The same of an output: uninitialised, every element is to be written. */
typedef struct attn_output {
  void* data; /* NULL = not wanted. */
  attn_dtype dtype;
  int32_t rank;
  int64_t dims[ATTN_MAX_RANK];
  int64_t strides[ATTN_MAX_RANK];
} attn_output;

/* --- Options of a backend */

typedef int32_t attn_option_type;
enum {
  ATTN_OPTION_BOOL = 0,
  ATTN_OPTION_INT = 1,
  ATTN_OPTION_FLOAT = 2, /* Takes integers as well. */
  ATTN_OPTION_STRING = 3,
  ATTN_OPTION_TENSOR = 4 /* The name of a tensor of the call. */
};

typedef struct attn_option_value {
  attn_option_type type;
  int32_t bool_value; /* 0 or 1 */
  int64_t int_value;
  double float_value;
  const char* text; /* Of ATTN_OPTION_STRING the value, of ATTN_OPTION_TENSOR the tensor's name. */
} attn_option_value;

typedef struct attn_option {
  size_t struct_size; /* sizeof(attn_option) */
  const char* name;   /* a-z first, then a-z, 0-9 and _; 1 to 64 bytes */
  attn_option_type type;
  /* As JSON: `true`, `16`, `0.5`, `"text"` without backslashes. NULL or "" = none; a tensor has
   * none. */
  const char* default_json;
  const char* allowed;     /* In words: "1 to 256". */
  const char* description; /* One sentence. */
  /* Whether the option may have this value; an error says what is allowed. NULL = any value of the
   * type. Anything but ATTN_OK refuses it as ATTN_INVALID_ARGUMENT. */
  attn_status (*check)(void* self, const attn_option_value* value, char* error, size_t error_size);
  void* self;
} attn_option;

/* --- Calls */

typedef struct attn_host attn_host;
typedef struct attn_options attn_options; /* Opaque. */

/* The shape of a call: what is known before its tensors have arrived. */
typedef struct attn_problem {
  size_t struct_size;
  const attn_host* host;
  const void* host_data; /* The server's. */
  int64_t batch;         /* B; 1 where sequences are packed, Sq and Sk then count all tokens */
  int64_t heads;         /* H */
  int64_t kv_heads;      /* G */
  int64_t query_len;     /* Sq */
  int64_t key_len;       /* Sk */
  int64_t head_dim;      /* D */
  int64_t value_dim;     /* Dv */
  attn_dtype dtype;      /* Of q, k and v. */
  attn_dtype out_dtype;  /* Of out. */
  double scale;          /* Factor on q.k */
  double softcap;        /* s = softcap * tanh(s / softcap); 0 = none */
  /* What the caller said of its tokens. */
  int64_t timestep;    /* 0-based denoising step; -1 = not said: past any warm-up */
  int64_t layer;       /* 0-based; -1 = not said */
  int64_t grid[3];     /* Frames, rows, columns of tokens in raster order; 0, 0, 0 = not said */
  int64_t text_length; /* Text tokens */
} attn_problem;

/* A call with its tensors. */
typedef struct attn_call {
  size_t struct_size;
  const attn_problem* problem;
  const attn_options* options;
  const void* host_data; /* The server's. */
  attn_tensor q;         /* [B, H, Sq, D] */
  attn_tensor k;         /* [B, G, Sk, D] */
  attn_tensor v;         /* [B, G, Sk, Dv] */
  attn_output out;       /* [B, H, Sq, Dv] */
  attn_output lse;       /* fp32 [B, H, Sq]: natural log of the sum of exp(score), the sink's
                          * included; -infinity for a query that attends nothing */
  attn_output weights;   /* fp32 [B, H, Sq, Sk]: softmax probabilities */
  attn_tensor bias;      /* [B, H, Sq, Sk] of fp32, fp16 or bf16, added after the soft-cap */
  /* [B, H]: - slope * |end_aligned_key(q) - key| is added; NULL = none */
  const float* alibi_slopes;
  /* [H]: one more score of each row, without a value; NULL = none */
  const float* sinks;
  /* [B]: 1 = nobody reads what this sample gives: its outputs may be left as they are, and then its
   * elements are not counted. NULL = none is. */
  const uint8_t* idle_samples;
} attn_call;

/* What the server does for a plug-in. Read-only, thread-safe; the arguments are those that the
 * running callback was given. */
struct attn_host {
  size_t struct_size;
  uint32_t abi_version;
  uint32_t reserved; /* 0 */

  /* Whether the call uses a feature, by name (see attn_backend.features): 1 or 0; -1 if there is no
   * such feature. */
  int32_t (*uses)(const attn_problem* problem, const char* feature);

  /* What the call says of an option, else the declared default: 1. Neither: 0, and *value is left
   * alone. -1 if the backend declares no option of that name and type. */
  int32_t (*get_bool)(const attn_options* options, const char* name, int32_t* value);
  int32_t (*get_int)(const attn_options* options, const char* name, int64_t* value);
  int32_t (*get_double)(const attn_options* options, const char* name, double* value);
  /* The text lives as long as the call. */
  int32_t (*get_string)(const attn_options* options, const char* name, const char** value);
  /* The tensor that an option names; 0 also where the call brought none of that name. */
  int32_t (*get_tensor)(const attn_call* call, const char* name, attn_tensor* tensor);

  /* The mask. A query attends a key if visible_keys has it (features causal, window, lengths,
   * packed) and the expression holds (feature expression); mask_row is both together.
   *
   * Keys [*begin, *end) of query q of sample b; 0, 0 = none. O(1), with a logarithm where sequences
   * are packed. ATTN_INVALID_ARGUMENT for a sample or query that the call has not. */
  attn_status (*visible_keys)(const attn_call* call, int64_t b, int64_t q, int64_t* begin,
                              int64_t* end);
  /* visible[i] = 1 if query q of sample b may attend key key_begin + i for `head` (of H), else 0.
   * ATTN_INVALID_ARGUMENT, and nothing written, for what the call has not. Dearer a key than a
   * multiply-add or two: ask once for many keys, within visible_keys. */
  attn_status (*mask_row)(const attn_call* call, int64_t b, int64_t head, int64_t q,
                          int64_t key_begin, int64_t key_count, uint8_t* visible);
  /* Where the query stands among the keys for ALiBi: the last query of its sample or sequence at
   * the last key. May lie outside [0, Sk). */
  attn_status (*end_aligned_key)(const attn_call* call, int64_t b, int64_t q, int64_t* key);
  /* 1 if the query lies behind its sample's length (feature lengths): its output is 0 and its LSE
   * -infinity, sinks or not. 0 if not, -1 for what the call has not. */
  int32_t (*is_padding)(const attn_call* call, int64_t b, int64_t q);
};

/* --- Backends */

/* A prepared call. */
typedef struct attn_execution {
  size_t struct_size;
  void* state;           /* The plug-in's; any value. */
  int64_t tiles;         /* Pieces of work, 0 or more. */
  int64_t scratch_bytes; /* Memory that each tile is given, 64-byte aligned, uninitialised. */
} attn_execution;

/* What ran. */
typedef struct attn_result {
  size_t struct_size;
  /* Score elements (query, key, head) that were computed, those that the mask hides left out. */
  double computed_elements;
  /* What dense attention under the same mask computes: set when `finish` is entered, with what an
   * expression hides counted as visible, idle samples left out. Of an exact backend it is taken to
   * be computed_elements. */
  double dense_elements;
  double extra_flops; /* Work that is not score elements; 0 when `finish` is entered. */
} attn_result;

typedef struct attn_backend {
  size_t struct_size; /* sizeof(attn_backend) */
  void* self;         /* First argument of every callback. */
  /* As an option's name. Not one that attnd knows already, as its own or as an alias of another
   * project, and not `auto`. */
  const char* name;
  const char* description; /* One sentence. */
  const char* method;      /* `dense`, or what chooses the keys: a name like the backend's. */
  const char* precision;   /* Of scores and sums, a word for people: `fp32` */
  /* What it honours beyond plain attention: `causal`, `window`, `lengths`, `packed`, `expression`
   * (masks), `gqa`, `scale` (any but D^-0.5), `softcap`, `bias`, `alibi`, `sinks`, `replicated`
   * (tokens of another kind behind the others), `lse`, `weights`. A call that uses another feature
   * never comes. Rotary embedding, original_seq_len, skipped scores and gates are the server's work
   * around every backend and may not be declared, nor may `plan`. */
  const char* const* features;
  size_t feature_count;
  const attn_dtype* dtypes; /* Of q, k, v and out: ATTN_FP32, ATTN_FP16, ATTN_BF16; 1 or more. */
  size_t dtype_count;
  /* Of D and Dv. Either these alone ... */
  const int64_t* head_dims;
  size_t head_dim_count;
  /* ... or, where head_dim_count is 0, all from min to max; 1 to 256. */
  int64_t min_head_dim;
  int64_t max_head_dim;
  /* 1 = not an approximation: automatic selection may choose it unasked. */
  int32_t exact;
  /* Place in the automatic order, 1 to 1000000: expected time a score element relative to the
   * others on the same machine. The built-in `flash` has 10, `eager` 100. */
  int32_t cost_rank;
  const attn_option* const* options;
  size_t option_count;

  /* Memory that an execution takes beside outputs and scratch, for admission: 0 or more. NULL = 0.
   */
  int64_t (*workspace_bytes)(void* self, const attn_problem* problem);
  /* Beyond what is declared: ATTN_OK, or ATTN_UNIMPLEMENTED with what does not fit and what would
   * ("sequences of 5 tokens, supported: multiples of 16"). NULL = all that is declared. */
  attn_status (*supports)(void* self, const attn_problem* problem, char* error, size_t error_size);
  /* Fills `execution`, which is zero. If it fails there is nothing to destroy. The call lives until
   * destroy, at the same address. */
  attn_status (*prepare)(void* self, const attn_call* call, attn_execution* execution, char* error,
                         size_t error_size);
  /* Tile 0 to tiles - 1, each once. The first error ends the call. */
  attn_status (*run_tile)(void* self, void* state, int64_t tile, void* scratch, char* error,
                          size_t error_size);
  attn_status (*finish)(void* self, void* state, attn_result* result, char* error,
                        size_t error_size);
  void (*destroy)(void* self, void* state); /* NULL = nothing to free. */
} attn_backend;

/* --- Mask functions: predicates that MaskExpression.Function names */

typedef int32_t attn_extent;
enum { ATTN_EXTENT_NONE = 0, ATTN_EXTENT_SOME = 1, ATTN_EXTENT_ALL = 2 };

typedef struct attn_mask_function {
  size_t struct_size;      /* sizeof(attn_mask_function) */
  void* self;              /* First argument of every callback. */
  const char* name;        /* As a backend's, but only other mask functions may not have it. */
  const char* description; /* What it means, and its arguments and tensors. */
  /* 1 = the head, or the sample, makes a difference. 0 saves planning once for each. */
  int32_t per_head;
  int32_t per_sample;

  /* Whether the arguments and tensors of a call fit: numbers, dtypes and shapes. Tensors have no
   * data yet. ATTN_INVALID_ARGUMENT says what is allowed. NULL = none of either are taken, and any
   * are refused. */
  attn_status (*check)(void* self, const double* arguments, size_t argument_count,
                       const attn_tensor* tensors, size_t tensor_count, char* error,
                       size_t error_size);
  /* After check was OK, with data. *state is NULL. Arguments and tensors live until destroy; the
   * array of tensors does not. What the tensors hold is checked here. NULL = no state. */
  attn_status (*bind)(void* self, const double* arguments, size_t argument_count,
                      const attn_tensor* tensors, size_t tensor_count, void** state, char* error,
                      size_t error_size);
  /* visible[i] = 1 if the query at position q may attend the key at position keys[i], for sample b
   * and query head `head`, else 0; `visible` is zero on entry. Positions are absolute and may be
   * any number, below 0 as well. Pure: the same answer every time. */
  void (*evaluate)(void* self, const void* state, int64_t b, int64_t head, int64_t q,
                   const int64_t* keys, size_t key_count, uint8_t* visible);
  /* Whether it holds for none, some or all of the queries [q_begin, q_end) and keys [kv_begin,
   * kv_end). ATTN_EXTENT_SOME is always right; a sharper answer saves asking for every element. A
   * wrong one gives wrong results. NULL = ATTN_EXTENT_SOME. */
  attn_extent (*extent)(void* self, const void* state, int64_t b, int64_t head, int64_t q_begin,
                        int64_t q_end, int64_t kv_begin, int64_t kv_end);
  void (*destroy)(void* self, void* state); /* NULL = nothing to free. */
} attn_mask_function;

/* --- The entry */

typedef struct attn_plugin {
  size_t struct_size;   /* sizeof(attn_plugin) */
  uint32_t abi_version; /* ATTN_PLUGIN_ABI_VERSION */
  uint32_t reserved;    /* 0 */
  const char* name;     /* As a backend's. */
  const char* version;  /* A text of the plug-in's own: "1.0" */
  const attn_backend* const* backends;
  size_t backend_count;
  const attn_mask_function* const* mask_functions;
  size_t mask_function_count;
} attn_plugin;

/* Called once, when the library is loaded. The library implements it. */
ATTN_PLUGIN_EXPORT const attn_plugin* attn_plugin_describe(void);

/* NOLINTEND(readability-identifier-naming) */

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ATTN_PLUGIN_H_ */
