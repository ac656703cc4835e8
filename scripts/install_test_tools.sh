#!/bin/bash
# Installs what tests/tools/requirements.txt names in a virtual environment, build/tools; tests find
# the programs in build/tools/bin and skip, with the reason, where they are missing. Needs no
# network when nothing has changed since the last time.
#   scripts/install_test_tools.sh [REQUIREMENTS]
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=${1:-tests/tools/requirements.txt}
tools=build/tools
stamp=$tools/requirements.sha256

if [[ -x $tools/bin/python ]] && sha256sum --check --status "$stamp" 2>/dev/null; then
  echo "tools: nothing is missing in $tools"
  exit 0
fi

echo "tools: installing $requirements into $tools"
rm -f "$stamp"
python3 -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
sha256sum "$requirements" >"$stamp"
