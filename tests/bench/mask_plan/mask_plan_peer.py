#!/usr/bin/env python3
"""The peer of mask_plan_bench: torch's create_block_mask on one thread, not compiled, the mask
`causal window packed`. It evaluates every element at once: 131072 tokens would take 16 GiB."""

import time

import torch
from torch.nn.attention.flex_attention import create_block_mask

ROUNDS = 3
WINDOW = 4096
DOCUMENT = 1500  # Tokens; mask_plan_bench draws lengths of this mean.


def plan_ms(tokens):
    ids = torch.arange(tokens) // DOCUMENT

    def visible(b, h, q, kv):
        return (q >= kv) & (q - kv < WINDOW) & (ids[q] == ids[kv])

    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        create_block_mask(visible, None, None, tokens, tokens, device="cpu", BLOCK_SIZE=128)
        times.append(1e3 * (time.perf_counter() - begin))
    return sorted(times)[ROUNDS // 2]


def main():
    torch.set_num_threads(1)
    print(f"torch {torch.__version__} create_block_mask, causal window packed")
    for tokens in (4096, 8192, 16384):
        print(f"{tokens:7d} tokens {plan_ms(tokens):9.2f} ms")


if __name__ == "__main__":
    main()
