/* Mask function `dilated`: every n-th key behind the query, its own among them. */
#ifndef DILATED_MASK_H_
#define DILATED_MASK_H_

#include "attn/attn_plugin.h"

extern const attn_mask_function dilated_mask;

#endif /* DILATED_MASK_H_ */
