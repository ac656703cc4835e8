"""NOTES.txt, which Helm shows after an installation: for every kind of installation, and its
commands against a real server."""

import pathlib
import shutil
import sys
import tempfile
import unittest

import attnd_process
import helm_chart
from attnd_process import Attnd, attn
from helm_chart import VALUES_FILES

# Helm renders notes for a cluster alone; as data of an object it renders them here.
AS_OBJECT = """kind: Notes
text: |
  {{- tpl (.Files.Get "NOTES.txt") . | nindent 2 }}
"""


def notes(values_file="values.yaml", values=None):
    with tempfile.TemporaryDirectory() as folder:
        chart = pathlib.Path(folder, "attnd")
        shutil.copytree(helm_chart.CHART, chart)
        shutil.move(chart / "templates/NOTES.txt", chart / "NOTES.txt")
        (chart / "templates/notes.yaml").write_text(AS_OBJECT)
        result = helm_chart.helm("template", "attnd", chart, "--namespace", "prod", "--values",
                                 chart / values_file, "--show-only", "templates/notes.yaml",
                                 values=values)
        if result.returncode != 0:
            raise AssertionError(result.stderr)
        return attnd_process.package("yaml").safe_load(result.stdout)["text"]


class Notes(unittest.TestCase):
    def test_say_how_to_check_call_steer_and_measure(self):
        for values_file in VALUES_FILES:
            with self.subTest(values_file):
                text = notes(values_file)
                for part in ("helm -n prod test attnd --logs", "port-forward deployment/attnd 8601",
                             "attn --server localhost:8601 call",
                             "attn --server localhost:8601 load",
                             "dns:///attnd-headless.prod.svc:8601", "curl http://localhost:8602",
                             "unix:/run/attnd/attnd.sock policy", "its grace period is"):
                    self.assertIn(part, text)
                self.assertNotIn("<no value>", text)

    def test_follow_the_values(self):
        self.assertIn("adapter-rules.yaml", notes())
        self.assertNotIn("adapter-rules.yaml", notes(values={"autoscaling": {"by": "none"}}))
        self.assertNotIn("helm -n prod test", notes(values={"tls": {"secretName": "attnd-tls"}}))
        self.assertIn("grace period is 23 s", notes(values={
            "config": {"lame_duck_ms": 10_000, "drain_limit_ms": 3_000}}))
        self.assertIn("8601:7000", notes(values={"ports": {"grpc": 7000}}))

    def test_commands_work(self):
        server = Attnd()
        self.addCleanup(server.kill)
        commands = [line.split() for line in notes().splitlines() if line.startswith("  attn ")]
        self.assertEqual(len(commands), 2)
        for command in commands:
            here = {"localhost:8601": server.address, "5s": "500ms"}
            local = [here.get(word, word) for word in command[1:]]
            with self.subTest(" ".join(command)):
                result = attn(*local, cwd=attnd_process.SOURCE)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    sys.exit(attnd_process.main())
