"""Figures of a run: as a table while it goes on, as JSON and as Markdown."""

import collections
import json
import math
import platform
import re
import statistics
import sys

SIDES = ("ours", "torch", "ort", "eager")
# /torch, /best: times the rate of torch, of the fastest peer; ceiling: of products, or of memory;
# /1 thr.: times ours on one thread; rel L2: to the peer's output.
COLUMNS = (("shape", 31), ("dtype", 6), ("causal", 7), ("ours", 8), ("torch", 8), ("ort", 8),
           ("eager", 7), ("/torch", 7), ("/best", 7), ("ceiling", 8), ("/1 thr.", 8),
           ("rel L2", 9), ("runs", 5))

# Two exact computations differ by rounding alone: far below these. Above, one is wrong.
WRONG_ABOVE = {"fp32": 1e-4, "bf16": 2e-2}


def row(shape, dtype, causal, seconds, runs, error):
    result = {"shape": shape.name, "dtype": dtype, "causal": causal}
    for side in SIDES:
        if side in seconds:
            result[f"{side}_gflops"] = shape.flops(causal) / seconds[side] / 1e9
    if "torch" in seconds:
        result["ratio"] = seconds["torch"] / seconds["ours"]
    peers = [seconds[side] for side in ("torch", "ort") if side in seconds]
    if peers:
        result["to_fastest_peer"] = min(peers) / seconds["ours"]
    if "one_thread" in seconds:
        result["to_one_thread"] = seconds["one_thread"] / seconds["ours"]
    if shape.decode:
        for side in SIDES:
            if side in seconds:
                result[f"{side}_gb_per_s"] = shape.bytes(dtype) / seconds[side] / 1e9
    result["flops_per_byte"] = shape.flops(causal) / shape.bytes(dtype)
    if error is not None:
        result["relative_l2"] = error
        if not error <= WRONG_ABOVE[dtype]:
            result["wrong"] = True
    result["runs"] = runs
    return result


def sparse_row(shape, dtype, seconds, runs):
    return {"shape": shape.name, "dtype": dtype, "blocks_kept": 0.1, "block": 64,
            "dense_ms": 1e3 * seconds["flash"], "sparse_ms": 1e3 * seconds["sparse"],
            "dense_to_sparse": seconds["flash"] / seconds["sparse"], "runs": runs}


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"model name\s*: (.*)", file.read())
    return found[1] if found else platform.machine()


def cell(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


class Figures:
    """`data` is what the JSON holds."""

    def __init__(self, threads, isa, peers):
        """`peers`: {name: a peer, or text that says why there is none}."""
        self.data = {"benchmark": "attention_cpu", "machine": cpu_model(), "threads": threads,
                     "isa": isa, "peers": {}, "ceilings": {}, "rows": [], "geomean_ratio": {},
                     "sparse": []}
        self._ceilings = collections.defaultdict(lambda: collections.defaultdict(list))
        for name, peer in peers.items():
            self.data["peers"][name] = {"missing": peer} if isinstance(peer, str) else {
                "version": peer.version, "environment": peer.environment}

    def add_ceilings(self, threads, ceilings):
        """Of products the best of all counts: other work on the machine only lowers them. Of
        memory the median: the hypervisor gives now more of it and now less."""
        for name, value in ceilings.items():
            self._ceilings[str(threads)][name].append(value)

    def add_row(self, figures):
        self.data["rows"].append(figures)
        sides = ", ".join(f"{side} {figures[f'{side}_gflops']:.0f}" for side in SIDES
                          if f"{side}_gflops" in figures)
        print(f"{figures['shape']} {figures['dtype']}{' causal' * figures['causal']}: {sides}"
              f"{' WRONG' * figures.get('wrong', False)}", file=sys.stderr, flush=True)

    def add_sparse(self, figures):
        self.data["sparse"].append(figures)

    def finish(self, others):
        """What follows from all rows and ceilings. `others`: of machine_load.py."""
        self.data["others"] = others
        for threads, measured in self._ceilings.items():
            self.data["ceilings"][threads] = {
                name: statistics.median(values) if name == "read_gb_per_s" else max(values)
                for name, values in measured.items()}
        ceilings = self.data["ceilings"][str(self.data["threads"])]
        bf16_peak = max(ceilings[f"{name}_gflops"] for name in ("fp32", "bf16_dot", "amx"))
        peaks = {"fp32": ceilings["fp32_gflops"], "bf16": bf16_peak}
        for figures in self.data["rows"]:
            figures["of_ceiling"] = (
                figures["ours_gb_per_s"] / ceilings["read_gb_per_s"] if "ours_gb_per_s" in figures
                else figures["ours_gflops"] / peaks[figures["dtype"]])
        for dtype in peaks:
            logs = [math.log(figures["ratio"]) for figures in self.data["rows"]
                    if figures["dtype"] == dtype and "ratio" in figures]
            if logs:
                self.data["geomean_ratio"][dtype] = math.exp(sum(logs) / len(logs))

    def head_lines(self):
        peers = self.data["peers"].items()
        yield (f"{self.data['machine']}, {self.data['threads']} threads each side, ours on "
               f"{self.data['isa']}")
        for name, peer in peers:
            if "missing" in peer:
                yield f"{name}: MISSING: {peer['missing']}"
                continue
            changed = [f"{key}={value} (dies of SIGILL without)"
                       for key, value in peer["environment"].items()]
            yield f"{name} {peer['version']}: defaults{' but ' * bool(changed)}{', '.join(changed)}"
        for threads, ceilings in self.data["ceilings"].items():
            amx = f"{ceilings['amx_gflops']:.0f}" if ceilings["amx_gflops"] else "none"
            yield (f"ceilings on {threads}: fp32 FMA {ceilings['fp32_gflops']:.0f}, bf16 dot "
                   f"products {ceilings['bf16_dot_gflops']:.0f}, AMX {amx} GFLOP/s; memory "
                   f"{ceilings['read_gb_per_s']:.1f} GB/s")
        others = self.data["others"]
        yield (f"meanwhile other processes took {others['busy_cores']:.2f} cores, the hypervisor "
               f"{others['stolen_cores']:.2f}")
        yield ("GFLOP/s of 4 B H Sq Sk D, half of it where causal; decode in GB/s of q, k, v and "
               "out; medians, the sides in turn, 50 ms of rest before each")

    def cells(self, figures):
        unit = "gb_per_s" if "ours_gb_per_s" in figures else "gflops"
        error = figures.get("relative_l2")
        return [figures["shape"], figures["dtype"], "yes" if figures["causal"] else "no",
                *(cell(figures.get(f"{side}_{unit}"), 1 if unit == "gb_per_s" else 0)
                  for side in SIDES),
                cell(figures.get("ratio"), 2), cell(figures.get("to_fastest_peer"), 2),
                f"{100 * figures['of_ceiling']:.0f}%", cell(figures.get("to_one_thread"), 2),
                "-" if error is None else f"{error:.1e}{'!' * figures.get('wrong', False)}",
                str(figures["runs"])]

    def end_lines(self):
        if any("wrong" in figures for figures in self.data["rows"]):
            yield "! = WRONG: the outputs differ by more than rounding"
        for dtype, geomean in self.data["geomean_ratio"].items():
            yield f"{dtype}: geometric mean of ours / torch {geomean:.2f}"
        for figures in self.data["sparse"]:
            yield (f"{figures['dtype']} {figures['shape']}, 90 % of the 64x64 blocks skipped: "
                   f"{figures['dense_ms']:.1f} ms dense, {figures['sparse_ms']:.1f} ms sparse, "
                   f"1/{figures['dense_to_sparse']:.2f}")

    def print_table(self):
        rows = [[name for name, _ in COLUMNS], *map(self.cells, self.data["rows"])]
        print(*self.head_lines(), sep="\n")
        for texts in rows:
            first, *others = (f"{text:>{width}}" for text, (_, width) in zip(texts, COLUMNS))
            print(f"{first.strip():<{COLUMNS[0][1]}}" + "".join(others))
        print(*self.end_lines(), sep="\n", flush=True)

    def write_json(self, path):
        path.write_text(json.dumps(self.data, indent=2) + "\n", encoding="utf-8")

    def write_markdown(self, path):
        rows = [[name for name, _ in COLUMNS], ["---"] * len(COLUMNS),
                *map(self.cells, self.data["rows"])]
        lines = [*(f"- {line}" for line in self.head_lines()), "",
                 *(f"| {' | '.join(texts)} |" for texts in rows), "",
                 *(f"- {line}" for line in self.end_lines())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
