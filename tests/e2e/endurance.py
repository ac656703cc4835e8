#!/usr/bin/env python3
"""What a server does when it is asked for too much, and when it is asked for long.

  endurance.py overload [--seconds 120]   twice the measured capacity: goodput, memory, refusals,
                                          and how soon it is itself again
  endurance.py soak [--seconds 600]       mixed load, with clients that die and calls that run out
                                          of time: memory does not grow

Prints a table; exits with 1 where the server fell short of what it promises. Takes minutes and
both ends run on this machine, so no ctest runs it: `make endurance`.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "deploy"))
import attnd_process  # noqa: E402

# Much computing for its bytes, so that sending what will be refused leaves the server its cores.
HEAVY_SHAPE = "1x1x8192x64"
PEAK_CALLERS = 8
WAITING = 64  # Some seconds of work: fewer than callers will have in flight.
OVERLOAD = 2.0
MIN_GOODPUT = 0.9          # Of the peak.
RECOVERY_S = 5
MAX_RECOVERED_RATIO = 1.5  # Of the latency before, at a tenth of the peak.

SOAK_WARMUP_S = 90         # Until pools, arenas and threads are what the load needs.
MAX_GROWTH = 0.01

WORKLOAD = {"entries": [
    {"name": "small", "weight": 8, "shape": [1, 8, 128, 64]},
    {"name": "causal", "weight": 4, "shape": [2, 4, 512, 64], "mask": {"causal": True}},
    {"name": "oracle", "weight": 2, "shape": [1, 2, 64, 32], "dtype": "fp32", "backend": "eager"},
    {"name": "window", "weight": 2, "shape": [1, 4, 1024, 64], "dtype": "fp16",
     "mask": {"window": [128, 0]}},
    {"name": "long", "weight": 1, "shape": [1, 2, 4096, 64], "priority": "batch"},
]}


class Memory(threading.Thread):
    """Samples the resident memory of a process until stopped: [(seconds, bytes)]."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.samples, self._stop_now = pid, [], threading.Event()
        self.start_time = time.monotonic()
        self.start()

    def run(self):
        while not self._stop_now.wait(0.5):
            for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    self.samples.append(
                        (time.monotonic() - self.start_time, int(line.split()[1]) * 1024))

    def stop(self):
        self._stop_now.set()
        self.join()
        return self.samples


def load(server, *flags):
    """The "load" of `attn load --json`; its exit code is not asked, the figures are."""
    command = [str(attnd_process.BIN / "attn"), "--server", server.address, "--json", "load",
               "--warmup", "0", *flags]
    run = subprocess.run(command, capture_output=True, text=True)
    try:
        return json.loads(run.stdout)["load"]
    except (ValueError, KeyError):
        raise SystemExit(f"{' '.join(command)}: {run.stderr}") from None


class Verdicts:
    """Prints one line a promise and remembers whether all were kept."""

    def __init__(self):
        self.kept = True

    def add(self, what, value, kept):
        self.kept &= kept
        print(f"{'ok  ' if kept else 'FAIL'} {what:<48} {value}", flush=True)


def overload(seconds):
    server = attnd_process.Attnd("--max_waiting_calls", str(WAITING))
    verdicts = Verdicts()
    shape = ("--shape", HEAVY_SHAPE, "--dtype", "bf16")
    load(server, *shape, "--concurrency", str(PEAK_CALLERS), "--duration", "5s")
    peak = load(server, *shape, "--concurrency", str(PEAK_CALLERS), "--duration", "15s")
    calm_rate = str(peak["calls_per_s"] / 10)
    calm = load(server, *shape, "--rate", calm_rate, "--duration", "10s")
    print(f"     {'peak':<48} {peak['calls_per_s']:.1f} calls/s\n"
          f"     {'calm p50':<48} {calm['latency_ms']['p50']:.1f} ms", flush=True)

    memory = Memory(server.process.pid)
    busy = load(server, *shape, "--rate", str(OVERLOAD * peak["calls_per_s"]),
                "--arrival", "poisson", "--duration", f"{seconds}s", "--connections", "8",
                "--max_in_flight", "1024")
    samples = memory.stop()
    time.sleep(RECOVERY_S)
    after = load(server, *shape, "--rate", calm_rate, "--duration", "10s")
    # The machine's own speed drifts in minutes: the peak before and the peak after.
    again = load(server, *shape, "--concurrency", str(PEAK_CALLERS), "--duration", "15s")
    print(f"     {'peak afterwards':<48} {again['calls_per_s']:.1f} calls/s", flush=True)

    goodput = 2 * busy["calls_per_s"] / (peak["calls_per_s"] + again["calls_per_s"])
    verdicts.add("goodput at twice the capacity", f"{goodput:.3f} of the peak",
                 goodput >= MIN_GOODPUT)
    verdicts.add("refused with RESOURCE_EXHAUSTED", busy["errors"],
                 set(busy["errors"]) == {"RESOURCE_EXHAUSTED"})
    verdicts.add("retry hints", f"{busy['retry_hints_not_followed']} of {busy['failed']}",
                 busy["retry_hints_not_followed"] == busy["failed"])
    half = len(samples) // 2
    first = max(rss for _, rss in samples[:half])
    second = max(rss for _, rss in samples[half:])
    verdicts.add("most memory, first and second half",
                 f"{first / 2**20:.0f} and {second / 2**20:.0f} MiB", second <= 1.1 * first)
    ratio = after["latency_ms"]["p50"] / calm["latency_ms"]["p50"]
    verdicts.add(f"p50 after {RECOVERY_S} s", f"{ratio:.2f} of that before",
                 ratio <= MAX_RECOVERED_RATIO and after["failed"] == 0)
    verdicts.add("exit code", code := server.stop(), code == 0)
    return verdicts.kept


def soak(seconds):
    server = attnd_process.Attnd()
    verdicts = Verdicts()
    memory = Memory(server.process.pid)
    with tempfile.TemporaryDirectory() as folder:
        workload = pathlib.Path(folder) / "workload.json"
        workload.write_text(json.dumps(WORKLOAD))
        steady = threading.Thread(target=lambda: results.append(load(
            server, "--workload", str(workload), "--rate", "60", "--arrival", "poisson",
            "--verify_every", "500", "--duration", f"{seconds}s")))
        results = []
        steady.start()
        deaths = 0
        while steady.is_alive():  # Beside it: clients that die, and calls that are too late.
            dying = subprocess.Popen(
                [str(attnd_process.BIN / "attn"), "--server", server.address, "load",
                 "--workload", str(workload), "--concurrency", "4", "--duration", "60s"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(1)
            dying.send_signal(signal.SIGKILL)
            dying.wait()
            attnd_process.attn("--server", server.address, "--timeout", "2ms", "load",
                               "--shape", "1x4x1024x64", "--requests", "5")
            deaths += 1
            time.sleep(3)
        steady.join()
    samples = memory.stop()
    result = results[0]
    verdicts.add("calls that failed", f"{result['failed']} of {result['completed']}",
                 result["failed"] == 0 and result["completed"] > 0)
    verdicts.add("answers that differ from eager's", result["verification"],
                 result["verification"]["checked"] > 0
                 and result["verification"]["mismatched"] == 0)
    verdicts.add("clients killed", deaths, deaths > 0)
    for minute in range(int(samples[-1][0]) // 60 + 1):
        of_it = sorted(rss for when, rss in samples if int(when) // 60 == minute)
        print(f"     median of minute {minute:<31} {of_it[len(of_it) // 2] / 2**20:.1f} MiB")
    settled = [rss for when, rss in samples if when > min(SOAK_WARMUP_S, seconds / 4)]
    third = len(settled) // 3
    # What stays, beside the payloads of the moment.
    before, later = (sorted(part)[len(part) // 10] for part in (settled[:third], settled[-third:]))
    growth = later / before - 1
    verdicts.add("memory, 10th percentiles of first and last third",
                 f"{before / 2**20:.1f} and {later / 2**20:.1f} MiB: {growth:+.2%}",
                 growth < MAX_GROWTH)
    verdicts.add("started = ended", *started_and_ended(server))
    verdicts.add("exit code", code := server.stop(), code == 0)
    return verdicts.kept


def started_and_ended(server):
    def total(metric):
        return sum(number for name, _, number in server.samples() if name == metric)
    started, ended = total("attn_calls_started_total"), total("attn_calls_ended_total")
    return f"{started:.0f} and {ended:.0f}", started == ended


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("overload", "soak"))
    parser.add_argument("--seconds", type=int, help="default: 120 and 600")
    arguments = parser.parse_args()
    if arguments.kind == "overload":
        kept = overload(arguments.seconds or 120)
    else:
        kept = soak(arguments.seconds or 600)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
