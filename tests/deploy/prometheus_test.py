"""Rules, dashboard and autoscaling against real servers: a real Prometheus scrapes two of them,
evaluates every rule, and answers what Grafana, the adapter and KEDA would ask."""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
import urllib.request

import attnd_process
import helm_chart
import prometheus_expressions
from attnd_process import Attnd, attn, wait_until
from prometheus_expressions import TARGET_LABELS

NAMESPACE = "models"
# Hold nothing on two servers that are well: restarts that are none.
EMPTY = {"annotation Restarts"}


class Prometheus:
    """Scrapes these servers every second, as the chart's ServiceMonitor labels them."""

    def __init__(self, servers):
        program = shutil.which("prometheus")
        if program is None:
            raise unittest.SkipTest("no prometheus: install Debian's package of this name")
        self._folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self._folder.name)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(helm_chart.CHART / "rules/*.yaml")],
            "scrape_configs": [{"job_name": "attnd", "static_configs": [
                {"targets": [server.metrics_address],
                 "labels": {"namespace": NAMESPACE, "pod": f"attnd-{number}"}}
                for number, server in enumerate(servers)]}]}
        (folder / "prometheus.yml").write_text(json.dumps(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/db",
             f"--web.listen-address={self._address}"],
            stdout=self._log, stderr=subprocess.STDOUT)
        wait_until(self._ready, "Prometheus is ready")

    def _ready(self):
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5):
                return True
        except OSError:
            if self._process.poll() is None:
                return False
            self._log.seek(0)
            raise AssertionError(f"Prometheus did not start: {self._log.read()}") from None

    def get(self, path, **parameters):
        """`data` of an answer of its API."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://{self._address}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=20) as response:
            return json.load(response)["data"]

    def query(self, expression):
        """[(labels, number)]"""
        result = self.get("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def stop(self):
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()
        self._folder.cleanup()


def all_expressions():
    return [*prometheus_expressions.of_rules(), *prometheus_expressions.of_dashboard(),
            *prometheus_expressions.of_adapter(NAMESPACE, "attnd-.*"),
            *prometheus_expressions.of_keda(namespace=NAMESPACE)]


def records():
    yaml = attnd_process.package("yaml")
    rules = yaml.safe_load((helm_chart.CHART / "rules/recording.yaml").read_text())
    return [rule["record"] for rule in rules["groups"][0]["rules"]]


class TwoServers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        attnd_process.package("yaml")
        cls.servers = []
        for _ in range(2):
            cls.servers.append(Attnd())
            cls.addClassCleanup(cls.servers[-1].kill)
        # Before Prometheus looks, so that every family is there; again while it looks, so that
        # rates rise.
        cls.call()
        cls.prometheus = Prometheus(cls.servers)
        cls.addClassCleanup(cls.prometheus.stop)
        wait_until(cls.has_rates, "a rate of every server", seconds=40)

    @classmethod
    def call(cls):
        for server in cls.servers:
            result = attn("--server", server.address, "load", "--shape", "1x1x16x64",
                          "--requests", "5", "--warmup", "0")
            if result.returncode != 0:
                raise AssertionError(result.stdout + result.stderr)

    @classmethod
    def has_rates(cls):
        cls.call()
        return (len(cls.prometheus.query('rate(attn_calls_total{code="OK"}[1m]) > 0')) == 2
                and cls.prometheus.query("job:attn_queue_seconds:mean5m > 0")
                and cls.prometheus.query("job:attn_calls_ok:rate5m > 0"))

    def test_export_every_series_that_is_named(self):
        samples = self.servers[0].samples()
        for expression in all_expressions():
            for selector in prometheus_expressions.selectors(expression.text):
                fitting = [labels for name, labels, _ in samples if name == selector.metric]
                with self.subTest(expression.place, metric=selector.metric):
                    self.assertTrue(fitting, "no such metric")
                    for label, operator, value in selector.matchers:
                        if label in TARGET_LABELS:
                            continue
                        self.assertIn(label, fitting[0])
                        if operator == "=":
                            self.assertIn(value, {labels[label] for labels in fitting})

    def test_refuse_for_the_reasons_that_the_rules_count_as_load(self):
        expression = next(e.text for e in prometheus_expressions.of_rules()
                          if e.place == "job:attn_calls_refused:ratio_rate5m")
        counted = set(re.search(r'reason=~"([^"]*)"', expression).group(1).split("|"))
        exported = {labels["reason"] for name, labels, _ in self.servers[0].samples()
                    if name == "attn_calls_refused_total"}
        # `exhausted` comes with its first refusal; neither of the others is for load.
        self.assertEqual(counted - {"exhausted"}, exported - {"too_large", "draining"})

    def test_are_scraped(self):
        targets = self.prometheus.get("targets")["activeTargets"]
        self.assertEqual([(t["health"], t["lastError"]) for t in targets], [("up", "")] * 2)

    def test_every_rule_is_evaluated_without_error(self):
        groups = self.prometheus.get("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertEqual(len(rules), len(list(prometheus_expressions.of_rules())))
        for rule in rules:
            with self.subTest(rule["name"]):
                self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""))

    def test_every_recording_rule_has_values(self):
        for record in records():
            with self.subTest(record):
                self.assertTrue(self.prometheus.query(record))

    def test_expressions_name_series_that_are_recorded(self):
        named = set().union(*(prometheus_expressions.recorded(e.text) for e in all_expressions()))
        self.assertTrue(named)
        self.assertFalse(named - set(records()))

    def test_no_alert_fires_while_they_are_well(self):
        self.assertEqual(self.prometheus.get("alerts")["alerts"], [])

    def test_every_panel_and_scaler_gets_an_answer(self):
        for expression in all_expressions():
            if expression.place in EMPTY or expression.place.startswith("Attnd"):
                continue
            with self.subTest(expression.place):
                self.assertTrue(self.prometheus.query(expression.text))

    def test_adapter_gets_the_queue_time_of_each_pod(self):
        query = next(e.text for e in prometheus_expressions.of_adapter(NAMESPACE, "attnd-.*")
                     if e.place == "adapter, metricsQuery")
        means = {labels["pod"]: number for labels, number in self.prometheus.query(query)}
        self.assertEqual(set(means), {"attnd-0", "attnd-1"})
        for mean in means.values():
            self.assertGreaterEqual(mean, 0)
            self.assertLess(mean, 10)


if __name__ == "__main__":
    sys.exit(attnd_process.main())
