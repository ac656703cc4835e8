#!/bin/bash
# Runs the benchmarks; figures go to build/bench/*.json. Peers from PyPI live in a virtual
# environment there. Nothing here fails on a figure, or for a peer that is not to be had.
#   scripts/bench.sh [transport] [batching] [call_overhead] [mask_plan] [attention_cpu]   all, or these
set -euo pipefail
cd "$(dirname "$0")/.."

bin=build/release/bin
out=build/bench
python=$out/venv/bin/python
mkdir -p "$out"

# Installs one package from PyPI, if it is not there.
install() {
  [[ -x $python ]] || python3 -m venv "$out/venv" || return
  "$python" -m pip install --quiet "$1"
}

transport() {
  echo "== transport"
  local flight=$python
  if ! install pyarrow; then
    echo "bench: no pyarrow to be had; the transport benchmark goes without Arrow Flight" >&2
    flight=""
  fi
  "$bin/transport_bench" --json "$out/transport.json" --flight "$flight"
}

batching() {
  echo "== calls launched together"
  "$bin/batching_bench" --json "$out/batching.json"
}

call_overhead() {
  echo "== overhead of a small call, over a Unix socket"
  local socket
  socket=$(mktemp -d)/attnd.sock
  "$bin/attnd" --listen "unix:$socket" --metrics_listen off >"$out/attnd.log" &
  local server=$!
  # Expanded now: the names are gone when the script ends.
  # shellcheck disable=SC2064
  trap "kill $server 2>/dev/null || true; rm -rf '$(dirname "$socket")'" EXIT
  until grep -q ready "$out/attnd.log"; do
    kill -0 "$server"
    sleep 0.05
  done
  "$bin/call_overhead_bench" --server "unix:$socket" --json "$out/call_overhead.json"
  kill "$server"
}

mask_plan() {
  echo "== masks compiled to plans"
  "$bin/mask_plan_bench" --json "$out/mask_plan.json"
  if install "$(grep '^torch' tests/bench/attention_cpu/requirements.txt)"; then
    "$python" tests/bench/mask_plan/mask_plan_peer.py
  else
    echo "bench: no torch to be had; mask plans go without a peer" >&2
  fi
}

attention_cpu() {
  echo "== attention on the CPU"
  local folder=tests/bench/attention_cpu package
  # One by one: without one peer there are the others.
  while read -r package; do
    install "$package" || echo "bench: no $package to be had" >&2
  done < <(grep -v '^#' "$folder/requirements.txt")
  if "$python" -c "import numpy"; then
    "$python" "$folder/attention_cpu_bench.py" --json "$out/attention_cpu.json"
  else
    echo "bench: without numpy there are no inputs; no attention on the CPU" >&2
  fi
}

all=(transport batching call_overhead mask_plan attention_cpu)
if [[ $# -eq 0 ]]; then set -- "${all[@]}"; fi
for name in "$@"; do
  if [[ " ${all[*]} " != *" $name "* ]]; then
    echo "bench: no benchmark '$name', there are: ${all[*]}" >&2
    exit 2
  fi
  "$name"
done
echo "bench: figures in $out"
