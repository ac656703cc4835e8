"""Our side: a process that runs calls through the server's executor when it is told to."""

import json
import pathlib
import subprocess
import tempfile

import numpy as np

import shapes


class WorkerError(Exception):
    """It refused, or is gone; the text says why."""


class Worker:
    """Holds the same inputs as the peers. Its threads sleep while it is not asked for anything."""

    def __init__(self, program, isa):
        self._process = subprocess.Popen([program, "--isa", isa], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self._folder = tempfile.TemporaryDirectory()
        self._tensors = pathlib.Path(self._folder.name) / "tensors"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    def _ask(self, **request):
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"attention_cpu_worker ended with {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{request}: {answer['error']}")
        return answer

    def isa(self):
        return self._ask(do="about")["isa"]

    def ceilings(self, threads):
        return self._ask(do="ceilings", threads=threads)

    def load(self, shape, dtype, causal, inputs):
        with self._tensors.open("wb") as file:
            for values in inputs:
                values.tofile(file)
        self._ask(do="load", path=str(self._tensors), batch=shape.batch, heads=shape.heads,
                  kv_heads=shape.kv_heads, query_len=shape.query_len, key_len=shape.key_len,
                  head_dim=shape.head_dim, dtype=dtype, causal=causal)
        self._tensors.unlink()

    def run(self, backend, threads, calls):
        """Seconds of a call, mean of `calls` one after the other."""
        return self._ask(do="run", backend=backend, threads=threads, calls=calls)["seconds"]

    def output(self, shape, dtype):
        """Of the last run, in fp32."""
        self._ask(do="save", path=str(self._tensors))
        values = np.fromfile(self._tensors, np.float32 if dtype == "fp32" else np.uint16)
        self._tensors.unlink()
        return shapes.to_fp32(values).reshape(shape.tensor_shapes()[0])
