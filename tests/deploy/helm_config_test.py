"""What the chart configures, held against the real attnd and attn: files, bounds, probes, the test
pod."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import attnd_process
import helm_chart
from attnd_process import Attnd, attn
from helm_chart import VALUES_FILES, container_of, find, render

TLS = {"tls": {"secretName": "server", "clientCa": True, "testSecretName": "client"},
       "adminToken": {"secretName": "admin"}}


def attnd(*arguments):
    """Runs the server to its end; the tests' own ATTN_ variables are not its options."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("ATTN_")}
    return subprocess.run([str(attnd_process.BIN / "attnd"), *arguments], capture_output=True,
                          text=True, timeout=60, env=others)


def openssl(*arguments, folder):
    program = shutil.which("openssl")
    if program is None:
        raise unittest.SkipTest("no openssl")
    subprocess.run([program, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def make_certificates(folder):
    """ca.crt, and tls.crt with tls.key for localhost, good for server and client."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "1", "-subj",
            "/CN=test authority", folder=folder)
    openssl("req", *key, "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=attnd",
            folder=folder)
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl("x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-out",
            "tls.crt", "-days", "1", "-extfile", "names", folder=folder)
    (folder / "token").write_text("a-token-of-the-test\n")


class Mounted:
    """The ConfigMap and the secrets of rendered objects as a folder, with paths into it."""

    def __init__(self, objects, with_certificates=False):
        self._folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self._folder.name)
        if with_certificates:
            make_certificates(self.path)
        for name, text in find(objects, "ConfigMap", "attnd")["data"].items():
            (self.path / name).write_text(self.local(text))
        self.config = str(self.path / "server.yaml")

    def local(self, text):
        """Paths of the container as paths of this folder."""
        return re.sub(r"/etc/attnd?-(tls|admin)|/run/attnd", str(self.path), text)

    def close(self):
        self._folder.cleanup()


class Config(unittest.TestCase):
    def mounted(self, *arguments, **options):
        mounted = Mounted(*arguments, **options)
        self.addCleanup(mounted.close)
        return mounted

    def test_is_what_the_server_takes(self):
        for values_file in VALUES_FILES:
            for values in ({}, TLS, {"listenHost": "[::]"}):
                with self.subTest(values_file, values=values):
                    objects = render(values_file=values_file, values=values)
                    mounted = self.mounted(objects, with_certificates=values is TLS)
                    result = attnd("--config", mounted.config, "--check_config")
                    # The machine of the test may be smaller than the pod.
                    others = [line for line in result.stderr.splitlines()
                              if not line.startswith("warning: memory: ")]
                    self.assertEqual((result.returncode, others), (0, []))

    def test_reaches_the_server_as_it_was_given(self):
        values = {"config": {"unix_mode": "0660", "warmup": False, "log_level": "debug",
                             "max_batch_calls": 4, "slow_call_ms": 250, "worker_cpus": "0-1,4",
                             "cpu_isa": "avx2"}}
        mounted = self.mounted(render(values=values))
        printed = attnd("--config", mounted.config, "--print_config").stdout
        for key, value in (("unix_mode", '"0660"'), ("warmup", "false"), ("log_level", "debug"),
                           ("max_batch_calls", "4"), ("slow_call_ms", "250"),
                           ("worker_cpus", '"0-1,4"'), ("cpu_isa", "avx2"),
                           ("max_admitted_bytes", "2147483648")):
            self.assertRegex(printed, rf'(?m)^{key}: {value}(\s|$)')

    def test_takes_a_bare_off_which_yaml_reads_as_false(self):
        mounted = self.mounted(render(values={"config": {"admin": False, "log_level": False}}))
        printed = attnd("--config", mounted.config, "--print_config").stdout
        for key in ("admin", "log_level"):
            self.assertRegex(printed, rf"(?m)^{key}: off ")

    def schema(self):
        text = (helm_chart.CHART / "values.schema.json").read_text()
        return json.loads(text)["properties"]["config"]["properties"]

    def test_has_every_key_of_the_server(self):
        printed = attnd("--print_config").stdout
        keys = set(re.findall(r"^(\w+):", printed, re.MULTILINE))
        charts = {"listen", "metrics_listen", "presets", "tls_certificate", "tls_key",
                  "tls_client_ca", "admin_token_file"}
        refused = {"numa_node"}  # Its pods have no capabilities, and that takes one.
        self.assertEqual(set(self.schema()) | charts | refused, keys)

    def test_has_the_servers_bounds(self):
        charts = {}
        for key, schema in self.schema().items():
            if schema.get("type") == "integer":
                # anyOf: 0 apart, as what switches something off.
                low = 0 if "anyOf" in schema else schema["minimum"]
                charts[key] = (low, schema.get("anyOf", [None, schema])[1]["maximum"])
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("".join(f"{key}: {high + 1}\n" for key, (_, high) in charts.items()))
            file.flush()
            complaints = attnd("--config", file.name, "--check_config").stderr
        servers = {key: (int(low), int(high)) for key, low, high in re.findall(
            r"(\w+): \d+ is out of range, allowed: (\d+) to (\d+)", complaints)}
        self.assertEqual(charts, servers)


class RunningPod(unittest.TestCase):
    """The rendered configuration served for real, on free ports."""

    def start(self, values):
        objects = render(values_file="values-dev.yaml", values=values)
        self.mounted = Mounted(objects, with_certificates=values is TLS)
        self.addCleanup(self.mounted.close)
        self.socket = f"unix:{self.mounted.path}/attnd.sock"
        self.server = Attnd("--config", self.mounted.config, "--listen", self.socket)
        self.addCleanup(self.server.kill)
        return objects

    def run_as_in_the_pod(self, command):
        """A command of the image, with paths and addresses of this machine."""
        command = [self.mounted.local(word) for word in command]
        self.assertEqual(command[0], "attn")
        return attn(*command[1:])

    def test_answers_the_names_that_the_probes_ask_for(self):
        container = container_of(self.start({}))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            result = attn("--server", self.server.address, "health", "--service",
                          container[probe]["grpc"]["service"])
            self.assertEqual((result.stdout.strip(), result.returncode), ("SERVING", 0))

    def test_with_tls_answers_the_probes_commands(self):
        container = container_of(self.start(TLS))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            result = self.run_as_in_the_pod(container[probe]["exec"]["command"])
            self.assertEqual((result.stdout.strip(), result.returncode), ("SERVING", 0),
                             result.stderr)
        self.server.kill()
        result = self.run_as_in_the_pod(container["livenessProbe"]["exec"]["command"])
        self.assertNotEqual(result.returncode, 0)

    def verify(self, objects):
        container = find(objects, "Pod")["spec"]["containers"][0]
        golden = {"/usr/local/share/attnd/golden":
                  str(attnd_process.SOURCE / "tests/golden/dense"),
                  "--server=attnd:8601": f"--server={self.server.address}"}
        return self.run_as_in_the_pod(
            container["command"] + [golden.get(word, word) for word in container["args"]])

    def test_passes_the_test_pod(self):
        result = self.verify(self.start({}))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(" 0 failed", result.stdout)

    def test_with_mutual_tls_passes_the_test_pod(self):
        objects = self.start(TLS)
        result = self.verify(objects)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        without = attn("--server", self.server.address, "health")
        self.assertNotEqual(without.returncode, 0, "served without a certificate")


if __name__ == "__main__":
    sys.exit(attnd_process.main())
