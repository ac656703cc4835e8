"""The shapes of the benchmark, their inputs, and what a call of them costs."""

import dataclasses

import numpy as np

DTYPES = ("fp32", "bf16")
ELEMENT_BYTES = {"fp32": 4, "bf16": 2}


@dataclasses.dataclass(frozen=True)
class Shape:
    name: str
    batch: int
    heads: int
    kv_heads: int
    query_len: int
    key_len: int
    head_dim: int
    quick: bool = False  # Part of --quick.
    eager: bool = False  # Small enough for the oracle.

    @property
    def decode(self):
        return self.query_len == 1

    @property
    def causal_cases(self):
        # The one query of a decoding step is the last token: causal hides nothing from it.
        return (False,) if self.decode else (False, True)

    @property
    def gqa(self):
        return self.heads != self.kv_heads

    def tensor_shapes(self):
        queries = (self.batch, self.heads, self.query_len, self.head_dim)
        keys = (self.batch, self.kv_heads, self.key_len, self.head_dim)
        return queries, keys, keys

    def flops(self, causal):
        dense = 4 * self.batch * self.heads * self.query_len * self.key_len * self.head_dim
        return dense / 2 if causal else dense

    def bytes(self, dtype):
        """Of q, k, v and the output, each once."""
        queries = self.batch * self.heads * self.query_len
        keys = self.batch * self.kv_heads * self.key_len
        return 2 * (queries + keys) * self.head_dim * ELEMENT_BYTES[dtype]


# The longest last: where time runs out it is the one with fewer runs.
SHAPES = (
    Shape("1x8x512x64", 1, 8, 8, 512, 512, 64, quick=True, eager=True),
    Shape("1x8x4096x64", 1, 8, 8, 4096, 4096, 64, quick=True),
    Shape("1x8x4096x128", 1, 8, 8, 4096, 4096, 128, quick=True),
    Shape("4x16x1024x64", 4, 16, 16, 1024, 1024, 64, eager=True),
    Shape("decode 8x32(8)x1x128 over 4096", 8, 32, 8, 1, 4096, 128, quick=True, eager=True),
    Shape("GQA 1x32(8)x4096x128", 1, 32, 8, 4096, 4096, 128),
    Shape("1x24x8192x128", 1, 24, 24, 8192, 8192, 128),
)

# Dense against a plan that skips 90 % of its 64 x 64 blocks.
SPARSE_SHAPE = Shape("1x1x16384x128", 1, 1, 1, 16384, 16384, 128)


def random_inputs(shape, dtype):
    """q, k and v as they lie in memory, normally distributed: fp32, or the bits of bf16."""
    random = np.random.default_rng(1)
    inputs = [random.standard_normal(dims, dtype=np.float32) for dims in shape.tensor_shapes()]
    return inputs if dtype == "fp32" else [to_bf16(values) for values in inputs]


def to_bf16(values):
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def to_fp32(values):
    if values.dtype == np.float32:
        return values
    return (values.astype(np.uint32) << 16).view(np.float32)


def relative_l2(values, expected):
    difference = np.square(values - expected, dtype=np.float64).sum()
    return float(np.sqrt(difference / np.square(expected, dtype=np.float64).sum()))
