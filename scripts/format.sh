#!/bin/bash
# Formats every C++ file; with --check changes none and fails if one is not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(-i)
if [[ ${1:-} == --check ]]; then mode=(--dry-run -Werror); fi
find kernels server client tests -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' |
  sort | xargs clang-format "${mode[@]}"
