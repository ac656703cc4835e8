#!/bin/bash
# Installs those of the Debian packages PACKAGE... that are missing, as root or through sudo.
# Needs neither the network nor root if none is.
set -euo pipefail

if ! command -v dpkg-query >/dev/null; then
  echo "install_packages: no dpkg here. On another system install what these Debian packages" >&2
  echo "hold, then use 'make build': $*" >&2
  exit 1
fi

missing=()
for package in "$@"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  if [[ $status != installed ]]; then missing+=("$package"); fi
done
if [[ ${#missing[@]} -eq 0 ]]; then
  echo "deps: nothing is missing of $# Debian packages"
  exit 0
fi

as_root=(env DEBIAN_FRONTEND=noninteractive)
if [[ $EUID -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install_packages: neither root nor sudo. As root, run:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo "${as_root[@]}")
fi

echo "deps: installing ${missing[*]}"
# A third party's broken source fails the update and need not fail the installation.
"${as_root[@]}" apt-get update || echo "deps: going on with the package lists at hand"
"${as_root[@]}" apt-get install --yes --no-install-recommends "${missing[@]}"
