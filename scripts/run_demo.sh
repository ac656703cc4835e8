#!/usr/bin/env bash
# Starts attnd, sends it a real model's query, key and value tensors through the bundled client,
# shows the checked output, the latency and the sparsity, and stops it again.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=build/release/bin
input=tests/golden/real/minilm_two_sentences.safetensors
log=$(mktemp)
"$bin/attnd" --config config/server.yaml --listen localhost:0 --metrics_listen localhost:0 >"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT

# attnd VERSION ready: listen=ADDRESS,... metrics=ADDRESS workers=N
for _ in $(seq 200); do
  grep -q ready "$log" && break
  kill -0 "$server" || { echo "attnd did not start" >&2; exit 1; }
  sleep 0.05
done
cat "$log"
address=$(sed -n 's/.* listen=\([^, ]*\).*/\1/p' "$log")
export ATTN_SERVER=$address

echo
echo "Backends of this server:"
"$bin/attn" backends
echo
echo "Six layers of all-MiniLM-L6-v2 on two sentences, checked against the fp64 oracle (eager):"
"$bin/attn" call "$input" --as_case --check
echo
echo "The same layers against the model's own attention outputs:"
"$bin/attn" verify "$input"

kill -TERM "$server"
wait "$server"
trap 'rm -f "$log"' EXIT
echo
echo "attnd stopped with exit code 0."
