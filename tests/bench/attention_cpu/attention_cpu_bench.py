#!/usr/bin/env python3
"""Attention on the CPU: ours, PyTorch's and ONNX Runtime's in turn, and the machine's ceilings.

  attention_cpu_bench.py [--quick] [--threads N] [--isa NAME] [--shapes REGEX] [--repeats N]
                         [--json FILE] [--markdown FILE] [--plot FILE]

One run of each side after the other, round by round, so that a slow moment of the machine meets all
of them; medians over the rounds. Ours is `flash` on the server's executor. Prints a table; fails on
no figure. Runs in the virtual environment that scripts/bench.sh makes.
"""

import argparse
import os
import pathlib
import re
import statistics
import sys
import time

import machine_load
import ort_peer
import report
import shapes
import torch_peer
import worker as our_worker

ROOT = pathlib.Path(__file__).resolve().parents[3]

# Before each run. The peers' threads spin for some milliseconds after a call (their defaults are
# kept: spinning is part of how fast they are), which no other side is to pay for.
PAUSE_S = 0.05
# A run of short calls: long enough that the clock and one interruption do not show.
RUN_S = 0.1
MAX_CALLS = 1000
# When the time is up.
MIN_REPEATS = 3


def timed(side, calls):
    time.sleep(PAUSE_S)
    if calls > 1:
        side(1)  # Caches, and threads that slept.
    return side(calls)


def medians(sides, repeats, deadline):
    """{side: median seconds of a call}, and the number of runs of each."""
    calls = {}
    for name, side in sides.items():
        warm_up = side(1)
        if warm_up < RUN_S:  # The first call of all takes longer than others.
            warm_up = side(1)
        calls[name] = max(1, min(MAX_CALLS, round(RUN_S / warm_up)))
    seconds = {name: [] for name in sides}
    runs = 0
    while runs < repeats and (runs < MIN_REPEATS or time.monotonic() < deadline):
        for name, side in sides.items():
            seconds[name].append(timed(side, calls[name]))
        runs += 1
    return {name: statistics.median(values) for name, values in seconds.items()}, runs


class Bench:
    def __init__(self, arguments, worker, peers):
        self._arguments = arguments
        self._worker = worker
        self._torch, self._ort = (None if isinstance(peers[name], str) else peers[name]
                                  for name in ("torch", "ort"))
        self._deadline = time.monotonic() + 60 * arguments.minutes

    def rows(self, shape, dtype):
        """One row for each mask that makes sense."""
        inputs = shapes.random_inputs(shape, dtype)
        if self._torch:
            self._torch.load(shape, dtype, inputs)
        for causal in shape.causal_cases:
            self._worker.load(shape, dtype, causal, inputs)
            with_ort = self._ort is not None and self._ort.takes(shape, dtype, causal)
            if with_ort:
                self._ort.load(shape, inputs)
            yield self._row(shape, dtype, causal, with_ort)

    def _row(self, shape, dtype, causal, with_ort):
        threads = self._arguments.threads
        sides = {"ours": lambda calls: self._worker.run("flash", threads, calls)}
        if self._torch:
            sides["torch"] = lambda calls: self._torch.run(causal, calls)
        if with_ort:
            sides["ort"] = self._ort.run
        if threads > 1 and shape.key_len >= 4096 and not shape.decode:
            sides["one_thread"] = lambda calls: self._worker.run("flash", 1, calls)
        seconds, runs = medians(sides, self._arguments.repeats, self._deadline)
        error = self._error(shape, dtype, causal, with_ort)
        if shape.eager:
            seconds["eager"] = self._worker.run("eager", threads, 1)
        return report.row(shape, dtype, causal, seconds, runs, error)

    def _error(self, shape, dtype, causal, with_ort):
        """Relative L2 of our output to a peer's; None if there is no peer."""
        if self._torch:
            expected = self._torch.output(causal)
        elif with_ort:
            expected = self._ort.output()
        else:
            return None
        self._worker.run("flash", self._arguments.threads, 1)
        return shapes.relative_l2(self._worker.output(shape, dtype), expected)

    def sparse(self, dtype):
        """Dense against a plan that skips most of it."""
        shape = shapes.SPARSE_SHAPE
        self._worker.load(shape, dtype, False, shapes.random_inputs(shape, dtype))
        threads = self._arguments.threads
        seconds, runs = medians(
            {name: lambda calls, name=name: self._worker.run(name, threads, calls)
             for name in ("flash", "sparse")}, self._arguments.repeats, self._deadline)
        return report.sparse_row(shape, dtype, seconds, runs)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="of every side; all cores unless given")
    parser.add_argument("--isa", default="auto", help="instruction set of our engine")
    parser.add_argument("--shapes", default="", help="regular expression that names must match")
    parser.add_argument("--repeats", type=int, default=7, help="rounds, at least 1")
    parser.add_argument("--minutes", type=float, default=13,
                        help="after which rows take no more than three rounds")
    parser.add_argument("--quick", action="store_true",
                        help="four shapes alone, and no sparse plan")
    parser.add_argument("--worker", type=pathlib.Path,
                        default=ROOT / "build/release/bin/attention_cpu_worker", help="our side")
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go")
    parser.add_argument("--markdown", type=pathlib.Path, help="where a table in Markdown goes")
    parser.add_argument("--plot", type=pathlib.Path, help="where a roofline plot (PNG) goes")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.repeats < 1:
        parser.error("--threads and --repeats are at least 1")
    if not arguments.worker.exists():
        parser.error(f"--worker {arguments.worker} is not there: `make build` makes it")
    arguments.every_shape = not arguments.shapes
    arguments.shapes = [shape for shape in shapes.SHAPES if re.search(arguments.shapes, shape.name)
                        and (shape.quick or not arguments.quick)]
    if not arguments.shapes:
        names = ", ".join(shape.name + " (quick)" * shape.quick for shape in shapes.SHAPES)
        parser.error(f"nothing to measure: --shapes matches none of {names}")
    return arguments


def find_peers(threads):
    """{name: peer, or text that says why there is none}."""
    peers = {"torch": torch_peer.find(threads), "ort": ort_peer.find(threads)}
    for name, peer in peers.items():
        if isinstance(peer, str):
            print(f"bench: no {name}, its columns stay empty: {peer}", file=sys.stderr)
    return peers


def measure(arguments, worker, peers):
    bench = Bench(arguments, worker, peers)
    figures = report.Figures(arguments.threads, worker.isa(), peers)
    for shape in arguments.shapes:
        for threads in sorted({1, arguments.threads}):
            figures.add_ceilings(threads, worker.ceilings(threads))
        for dtype in shapes.DTYPES:
            for row in bench.rows(shape, dtype):
                figures.add_row(row)
    if arguments.every_shape and not arguments.quick:
        for dtype in shapes.DTYPES:
            figures.add_sparse(bench.sparse(dtype))
    return figures


def main():
    arguments = parse_arguments()
    peers = find_peers(arguments.threads)
    load = machine_load.MachineLoad()
    with our_worker.Worker(arguments.worker, arguments.isa) as worker:
        figures = measure(arguments, worker, peers)
    figures.finish(load.others())
    figures.print_table()
    if arguments.json:
        figures.write_json(arguments.json)
    if arguments.markdown:
        figures.write_markdown(arguments.markdown)
    if arguments.plot:
        import roofline
        roofline.draw(figures.data, arguments.plot)


if __name__ == "__main__":
    try:
        main()
    except our_worker.WorkerError as failure:
        sys.exit(f"bench: {failure}")
