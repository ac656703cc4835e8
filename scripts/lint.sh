#!/bin/bash
# The format of every C++ file, and clang-tidy's short list on every source that is shipped (tests
# are held by the compiler's warnings); both at zero.
#   scripts/lint.sh [FILE.cc...]   all shipped sources, or these
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/format.sh --check

# compile_commands.json without precompiled headers, which clang-tidy cannot read, and the generated
# headers. Nothing is compiled.
cmake --preset tidy --log-level=WARNING >/dev/null
mapfile -t headers < <(find proto -name '*.proto' | sed 's|.*|generated/&|; s|proto$|pb.h|')
cmake --build build/tidy --target "${headers[@]}" >/dev/null

if [[ $# -eq 0 ]]; then
  # Sources that this configuration does not compile (CUDA, some day) cannot be read.
  mapfile -t compiled < <(sed -n "s|^ *\"file\": \"$PWD/\(.*\)\",\{0,1\}$|\1|p" \
    build/tidy/compile_commands.json | grep -E '^(kernels|server|client)/' | sort -u)
  set -- "${compiled[@]}"
fi
printf '%s\0' "$@" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/tidy --quiet --extra-arg=-Wno-error \
    2> >(grep -v 'warnings\? generated' >&2)
echo "lint: format and clang-tidy find nothing in $# sources"
