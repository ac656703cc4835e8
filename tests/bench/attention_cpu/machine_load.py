"""How much of the machine others used while a benchmark ran: what makes its figures doubtful."""

import os
import time


class MachineLoad:
    """From its creation on."""

    def __init__(self):
        self._begin = _now()

    def others(self):
        """{"busy_cores": of other processes, "stolen_cores": kept by the hypervisor}, means.

        Children count as ours once they have ended.
        """
        wall, busy, stolen, own = (end - begin for begin, end in zip(self._begin, _now()))
        return {"busy_cores": max(0.0, (busy - own) / wall), "stolen_cores": stolen / wall}


def _now():
    """Seconds: of the clock, and of processors that were busy, stolen, and busy for us."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    own = sum(os.times()[:4])
    return time.monotonic(), (user + nice + system + irq + softirq) / tick, steal / tick, own
