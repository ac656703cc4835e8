/* An example of a plug-in of attnd: a backend and a mask function. docs/plugins.md explains it. */
#include "dilated_mask.h"
#include "naive_attention.h"

static const attn_backend* const backends[] = {&naive_attention};
static const attn_mask_function* const mask_functions[] = {&dilated_mask};

static const attn_plugin plugin = {
    .struct_size = sizeof(attn_plugin),
    .abi_version = ATTN_PLUGIN_ABI_VERSION,
    .name = "plugin_example",
    .version = "1.0",
    .backends = backends,
    .backend_count = 1,
    .mask_functions = mask_functions,
    .mask_function_count = 1,
};

const attn_plugin* attn_plugin_describe(void) { return &plugin; }
