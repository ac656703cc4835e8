"""attnd and attn as children of a test program, and how such a program ends.

ctest sets ATTN_BUILD_DIR; the tools from PyPI lie in build/tools (scripts/install_test_tools.sh).
"""

import importlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ATTN_BUILD_DIR", SOURCE / "build/release"))
BIN = BUILD / "bin"
TOOLS = SOURCE / "build/tools/bin"

SKIPPED = 77  # SKIP_RETURN_CODE of the tests.

# The tools' Python packages, for whichever Python runs the test.
_PACKAGES = "lib/python{0.major}.{0.minor}/site-packages".format(sys.version_info)
sys.path.append(str(TOOLS.parent / _PACKAGES))


def tool(name):
    """A program of build/tools; the test is skipped where it is missing."""
    path = TOOLS / name
    if not path.exists():
        raise unittest.SkipTest(f"no build/tools/bin/{name}: run scripts/install_test_tools.sh")
    return str(path)


def package(name):
    """A Python package of build/tools; the test is skipped where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        reason = f"no Python package {name}: run scripts/install_test_tools.sh"
        raise unittest.SkipTest(reason) from None


def wait_until(condition, what, seconds=20):
    """Polls; fails the test when `condition` has not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def attn(*arguments, **options):
    """Runs the client to its end."""
    command = [str(BIN / "attn"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


class Attnd:
    """A server, ready when the constructor returns. stop() or kill() ends it."""

    def __init__(self, *flags, command=(str(BIN / "attnd"),), listen="127.0.0.1:0"):
        self._log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*command, "--listen", listen, "--metrics_listen", "127.0.0.1:0", *flags],
            stdout=subprocess.PIPE, stderr=self._log, text=True)
        # attnd VERSION ready: listen=A,B metrics=M workers=N
        self.ready_line = next((line for line in self.process.stdout if " listen=" in line), "")
        fields = dict(word.split("=", 1) for word in self.ready_line.split() if "=" in word)
        if "listen" not in fields:
            raise AssertionError(f"attnd did not start: {self.log()}")
        self.address = fields["listen"].split(",")[0]
        self.metrics_address = fields["metrics"]

    def log(self):
        self._log.seek(0)
        return self._log.read()

    def samples(self):
        """[(name, {label: value}, number)]; OSError where the server is gone."""
        url = f"http://{self.metrics_address}/metrics"
        with urllib.request.urlopen(url, timeout=5) as response:
            text = response.read().decode()
        found = re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE)
        return [(name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(number))
                for name, labels, number in found]

    def calls(self, code="OK"):
        """Calls of the server that ended with this code."""
        return sum(number for name, labels, number in self.samples()
                   if name == "attn_calls_total" and labels["code"] == code)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        """The exit code."""
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code

    def stop(self):
        self.terminate()
        return self.wait()

    def kill(self):
        """As a crash or the kernel would; harmless where it has ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.wait()
        self._log.close()


def main():
    """Exit code of a test program: 0, 1, or SKIPPED where every test was skipped."""
    result = unittest.main(module="__main__", exit=False, verbosity=2).result
    if not result.wasSuccessful():
        return 1
    return SKIPPED if result.testsRun <= len(result.skipped) else 0
