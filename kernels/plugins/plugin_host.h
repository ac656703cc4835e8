// The functions that attnd offers to plug-ins.
#ifndef ATTN_KERNELS_PLUGINS_PLUGIN_HOST_H_
#define ATTN_KERNELS_PLUGINS_PLUGIN_HOST_H_

#include "kernels/plugins/attn_plugin.h"

namespace attn {

// One constant table.
const attn_host& PluginHost();

}  // namespace attn

#endif  // ATTN_KERNELS_PLUGINS_PLUGIN_HOST_H_
