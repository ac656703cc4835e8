"""deploy/envoy/envoy.yaml in the real Envoy, before two real servers: one drains and one is killed
under load, and no call is lost or answered twice."""

import json
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

import attnd_process
from attnd_process import Attnd, attn, wait_until

CONFIG = attnd_process.SOURCE / "deploy/envoy/envoy.yaml"

# Longer than the health checks take to see it, or Envoy would learn of it from refusals.
LAME_DUCK_MS = 4000


class Envoy:
    """Envoy with CONFIG, but free ports of this machine and these servers."""

    def __init__(self, servers):
        program = attnd_process.tool("envoy")
        yaml = attnd_process.package("yaml")
        config = yaml.safe_load(CONFIG.read_text())
        resources = config["static_resources"]
        listener = resources["listeners"][0]["address"]["socket_address"]
        listener.update(address="127.0.0.1", port_value=0)
        config["admin"]["address"]["socket_address"]["port_value"] = 0
        self.cluster = resources["clusters"][0]["name"]
        endpoints = resources["clusters"][0]["load_assignment"]["endpoints"][0]
        endpoints["lb_endpoints"] = [self._endpoint(server.address) for server in servers]

        self._folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self._folder.name)
        (folder / "envoy.yaml").write_text(yaml.safe_dump(config))
        self._log = (folder / "log").open("w+")
        # Hot restart's shared memory would be one for all Envoys of this machine.
        self._process = subprocess.Popen(
            [program, "-c", folder / "envoy.yaml", "--concurrency", "2", "--log-level", "warning",
             "--disable-hot-restart", "--admin-address-path", folder / "admin"],
            stdout=self._log, stderr=subprocess.STDOUT)
        wait_until((folder / "admin").exists, f"Envoy started: {self.log()}")
        self._admin = (folder / "admin").read_text()
        wait_until(self._listens, "Envoy listens")
        listeners = json.loads(self._get("/listeners?format=json"))["listener_statuses"]
        bound = listeners[0]["local_address"]["socket_address"]
        self.address = f"{bound['address']}:{bound['port_value']}"

    @staticmethod
    def _endpoint(address):
        host, port = address.rsplit(":", 1)
        socket_address = {"address": host, "port_value": int(port)}
        return {"endpoint": {"address": {"socket_address": socket_address}}}

    def _get(self, path):
        with urllib.request.urlopen(f"http://{self._admin}{path}", timeout=5) as response:
            return response.read().decode()

    def _listens(self):
        return "LIVE" in self._get("/server_info") and ":0" not in self._get("/listeners")

    def log(self):
        return pathlib.Path(self._log.name).read_text()

    def stats(self):
        """Of the listener, of the cluster and, as attend.NAME, of the calls: {name: number}."""
        stats = {}
        for prefix, short in (("http.attention.", ""), (f"cluster.{self.cluster}.", ""),
                              ("vhost.attention.route.attend.", "attend.")):
            for line in self._get(f"/stats?filter=^{prefix}&type=All").splitlines():
                name, _, number = line.partition(": ")
                if number.isdigit():
                    stats[short + name.removeprefix(prefix)] = int(number)
        return stats

    def wait_for_servers(self, number):
        wait_until(lambda: self.stats()["membership_healthy"] == number,
                   f"{number} servers are healthy to Envoy")

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()


class Load:
    """attn load in the background: eight callers, each of which calls again when answered.

    An answer of 8 KiB leaves its server in one piece: a server killed halfway through a large one
    costs that call, as deploy/envoy/README.md says.
    """

    CALLERS = 8
    WARMUP = 16

    def __init__(self, address, seconds):
        self._process = subprocess.Popen(
            [str(attnd_process.BIN / "attn"), "--server", address, "--json", "load",
             "--shape", "1x4x16x64", "--concurrency", str(self.CALLERS), "--connections", "4",
             "--warmup", str(self.WARMUP), "--duration", f"{seconds}s"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def running(self):
        return self._process.poll() is None

    def wait(self):
        """(exit code, calls with an answer, calls that failed, what it printed)"""
        out, err = self._process.communicate(timeout=120)
        result = json.loads(out)["load"]
        return self._process.returncode, result["completed"], result["failed"], out + err


class LastCount(threading.Thread):
    """Reads how many calls a server has answered until it is gone."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self._server = server
        self.calls = 0
        self.start()

    def run(self):
        try:
            while True:
                self.calls = self._server.calls()
                time.sleep(0.05)
        except OSError:
            return


class EnvoyTest(unittest.TestCase):

    def serve(self, *flags):
        """A server of one worker, in place of an earlier one where `listen` is its address."""
        server = Attnd("--workers", "1", "--lame_duck_ms", str(LAME_DUCK_MS), *flags)
        self.addCleanup(server.kill)
        return server

    def start(self):
        """Two servers and Envoy, which has found both healthy."""
        attnd_process.tool("envoy")
        attnd_process.package("yaml")
        servers = [self.serve(), self.serve()]
        envoy = Envoy(servers)
        self.addCleanup(envoy.kill)
        envoy.wait_for_servers(2)
        return servers, envoy

    def restart(self, server):
        again = Attnd("--workers", "1", "--lame_duck_ms", str(LAME_DUCK_MS), listen=server.address)
        self.addCleanup(again.kill)
        wait_until(lambda: again.calls() > 0, "Envoy gives a server that is back its turn")
        return again

    def check_answers(self, load, envoy):
        """Every call of the client had one answer; returns how many there were."""
        code, completed, failed, printed = load.wait()
        self.assertEqual(failed, 0, printed + envoy.log())
        self.assertEqual(code, 0, printed)
        calls = completed + Load.WARMUP
        stats = envoy.stats()
        self.assertEqual(stats["attend.upstream_rq_completed"], calls)
        self.assertEqual(stats["attend.upstream_rq_2xx"], calls)
        self.assertEqual(stats["downstream_rq_tx_reset"] + stats["downstream_rq_rx_reset"], 0)
        # Attempts that found no connection are retries, but no requests.
        self.assertLessEqual(stats["attend.upstream_rq_total"],
                             calls + stats["attend.upstream_rq_retry"])
        self.assertEqual(stats["upstream_rq_retry_overflow"], 0)
        return calls

    def test_envoy_takes_the_file_as_it_stands(self):
        done = subprocess.run([attnd_process.tool("envoy"), "--mode", "validate", "-c", CONFIG,
                               "--log-level", "warning"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")  # No option that is deprecated.

    def test_a_server_that_drains_costs_no_call(self):
        (draining, other), envoy = self.start()
        load = Load(envoy.address, seconds=8)
        wait_until(lambda: min(draining.calls(), other.calls()) > 100, "both servers answer")
        last = LastCount(draining)
        draining.terminate()
        self.assertEqual(draining.wait(), 0)
        last.join()
        again = self.restart(draining)
        self.assertTrue(load.running(), "the load ended before the server was back")

        calls = self.check_answers(load, envoy)
        # Nothing was computed twice, not even unseen.
        self.assertEqual(last.calls + other.calls() + again.calls(), calls)
        print(f"drain: {calls} calls, none failed; {last.calls} by the server that drained, "
              f"{envoy.stats()['upstream_rq_retry']} sent again", flush=True)

    def test_a_server_that_is_killed_costs_no_call(self):
        (other, killed), envoy = self.start()
        load = Load(envoy.address, seconds=5)
        wait_until(lambda: min(killed.calls(), other.calls()) > 100, "both servers answer")
        killed.kill()
        time.sleep(0.5)  # Calls find it gone before health checks do.
        again = self.restart(killed)
        self.assertTrue(load.running(), "the load ended before the server was back")

        calls = self.check_answers(load, envoy)
        retries = envoy.stats()["upstream_rq_retry"]
        self.assertEqual(envoy.stats()["upstream_rq_retry_success"], retries)
        self.assertGreater(retries, 0)  # Or nothing was in flight, and nothing was tested.
        print(f"kill: {calls} calls, none failed; {retries} sent again", flush=True)

    def test_a_request_above_the_retry_buffer_passes(self):
        _, envoy = self.start()
        yaml = attnd_process.package("yaml")
        listener = yaml.safe_load(CONFIG.read_text())["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        routes = manager["route_config"]["virtual_hosts"][0]["routes"]
        limit = next(route["request_body_buffer_limit"] for route in routes
                     if "request_body_buffer_limit" in route)
        # q, k and v of n x 8 heads x 16 tokens x 64 x 4 bytes, half the limit and one and a half.
        for fraction, abandoned in ((0.5, 0), (1.5, 1)):
            batch = int(fraction * limit / (3 * 8 * 16 * 64 * 4))
            done = attn("--server", envoy.address, "load", "--shape", f"{batch}x8x16x64",
                        "--dtype", "fp32", "--requests", "1", "--warmup", "0")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(envoy.stats()["retry_or_shadow_abandoned"], abandoned)

    def test_an_administrator_is_sent_to_the_server(self):
        _, envoy = self.start()
        done = attn("--server", envoy.address, "force", "flash")
        self.assertEqual(done.returncode, 1)
        self.assertIn("AdminService does not pass Envoy", done.stderr)

    def test_a_scope_is_held_through_envoy(self):
        servers, envoy = self.start()
        with subprocess.Popen([str(attnd_process.BIN / "attn"), "--server", envoy.address, "scope",
                               "--backend", "eager", "--", "sleep", "60"]) as holder:
            wait_until(lambda: self.scopes(servers) == 1, "a server has the scope")
            holder.terminate()
        wait_until(lambda: self.scopes(servers) == 0, "the scope ended with its stream")
        self.assertEqual(envoy.stats()["upstream_rq_retry"], 0)

    @staticmethod
    def scopes(servers):
        return sum(number for server in servers for name, _, number in server.samples()
                   if name == "attn_scopes")

    def test_the_callers_deadline_is_kept(self):
        _, envoy = self.start()
        begin = time.monotonic()
        done = attn("--server", envoy.address, "--timeout", "300ms", "load",
                    "--shape", "1x16x8192x128", "--requests", "1", "--warmup", "0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("DEADLINE_EXCEEDED", done.stdout)
        self.assertLess(time.monotonic() - begin, 10)

    def test_request_ids_pass_both_ways(self):
        _, envoy = self.start()
        grpc = attnd_process.package("grpc")
        with grpc.insecure_channel(envoy.address) as channel:
            attend = channel.unary_unary("/attention.v1.AttentionService/Attend")
            # A UUID, which Envoy would otherwise mark as traced.
            request_id = "00000000-0000-4000-8000-000000000001"
            with self.assertRaises(grpc.RpcError) as refused:  # A request without tensors.
                attend(b"", metadata=[("x-request-id", request_id)], timeout=10)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn(("x-request-id", request_id), refused.exception.trailing_metadata())


if __name__ == "__main__":
    raise SystemExit(attnd_process.main())
