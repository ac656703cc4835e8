/* Backend `naive_c`: exact attention of fp32 tensors by its definition, in double precision. */
#ifndef NAIVE_ATTENTION_H_
#define NAIVE_ATTENTION_H_

#include "attn/attn_plugin.h"

extern const attn_backend naive_attention;

#endif /* NAIVE_ATTENTION_H_ */
