// A plug-in whose description throws.
#include <stdexcept>

#include "attn/attn_plugin.h"

const attn_plugin* attn_plugin_describe() { throw std::runtime_error("no description today"); }
