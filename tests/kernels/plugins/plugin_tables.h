// Tables of plug-ins made in C++, for tests to break.
#ifndef ATTN_TESTS_KERNELS_PLUGINS_PLUGIN_TABLES_H_
#define ATTN_TESTS_KERNELS_PLUGINS_PLUGIN_TABLES_H_

#include "kernels/plugins/attn_plugin.h"

namespace attn {

// A backend that is in order: it writes zeros and declares an option of each type.
attn_backend GoodBackend();

// A mask function that is in order: keys up to the argument.
attn_mask_function GoodMaskFunction();

}  // namespace attn

#endif  // ATTN_TESTS_KERNELS_PLUGINS_PLUGIN_TABLES_H_
