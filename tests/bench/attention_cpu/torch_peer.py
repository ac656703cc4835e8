"""PyTorch's scaled_dot_product_attention.

Run as a program it tries whether torch's kernels live on this machine: where a hypervisor hides
what oneDNN asks about AMX, oneDNN dies of SIGILL.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np

import shapes

# oneDNN without AMX; MKL then still uses it.
NO_AMX = ("DNNL_MAX_CPU_ISA", "AVX512_CORE_BF16")


class TorchPeer:
    def __init__(self, threads, environment):
        import torch
        self._torch = torch
        torch.set_num_threads(threads)
        self.version = torch.__version__
        self.environment = environment

    def load(self, shape, dtype, inputs):
        self._inputs = [self._torch.from_numpy(values) if dtype == "fp32" else
                        self._torch.from_numpy(values.view(np.int16)).view(self._torch.bfloat16)
                        for values in inputs]
        self._gqa = shape.gqa

    def attend(self, causal):
        with self._torch.inference_mode():
            return self._torch.nn.functional.scaled_dot_product_attention(
                *self._inputs, is_causal=causal, enable_gqa=self._gqa)

    def run(self, causal, calls):
        """Seconds of a call, mean of `calls` one after the other."""
        begin = time.perf_counter()
        for _ in range(calls):
            self.attend(causal)
        return (time.perf_counter() - begin) / calls

    def output(self, causal):
        return self.attend(causal).float().numpy()


def find(threads):
    """A peer, or text that says why there is none. Torch is loaded after its environment is set."""
    for environment in ({}, dict([NO_AMX])):
        tried = subprocess.run([sys.executable, __file__, str(threads)],
                               env=os.environ | environment, capture_output=True, text=True,
                               check=False)
        if tried.returncode == 0:
            os.environ |= environment
            return TorchPeer(threads, environment)
        if tried.returncode != -signal.SIGILL:
            break
    last_words = tried.stderr.strip().splitlines()[-1:]
    return last_words[0] if last_words else f"ends with {tried.returncode}"


def try_kernels(threads):
    import torch
    peer = TorchPeer(threads, {})
    shape = shapes.Shape("", 1, 2, 2, 512, 512, 64)
    for dtype in shapes.DTYPES:
        peer.load(shape, dtype, shapes.random_inputs(shape, dtype))
        for causal in shape.causal_cases:
            peer.attend(causal)
    square = torch.ones(512, 512, dtype=torch.bfloat16)
    torch.matmul(square, square)


if __name__ == "__main__":
    try_kernels(int(sys.argv[1]))
