#!/bin/bash
# Runs the benchmarks; figures go to build/bench/*.json. Peers from PyPI live in a virtual
# environment there. Nothing here fails on a figure.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=build/release/bin
out=build/bench
mkdir -p "$out"

python=""
if [[ -x $out/venv/bin/python ]] ||
  { python3 -m venv "$out/venv" && "$out/venv/bin/pip" install --quiet pyarrow; }; then
  python=$out/venv/bin/python
else
  echo "bench: no pyarrow to be had; the transport benchmark goes without Arrow Flight" >&2
fi

echo "== transport"
"$bin/transport_bench" --json "$out/transport.json" --flight "$python"

echo "== calls launched together"
"$bin/batching_bench" --json "$out/batching.json"

echo "== overhead of a small call, over a Unix socket"
socket=$(mktemp -d)/attnd.sock
"$bin/attnd" --listen "unix:$socket" --metrics_listen off >"$out/attnd.log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$(dirname "$socket")"' EXIT
until grep -q ready "$out/attnd.log"; do
  kill -0 "$server"
  sleep 0.05
done
"$bin/call_overhead_bench" --server "unix:$socket" --json "$out/call_overhead.json"
echo "bench: figures in $out"
