"""The Grafana dashboard: well formed, and what it asks is PromQL."""

import json
import sys
import tempfile
import unittest

import attnd_process
import helm_chart
import prometheus_expressions
from rules_test import promtool

ROW = 24  # Columns of Grafana's grid.
# What the issue of running a server wants to be seen.
METRICS = ("attn_calls_started_total", "attn_calls_total", "attn_calls_ended_total",
           "attn_calls_refused_total", "attn_calls_cancelled_total", "attn_selections_total",
           "attn_call_stage_seconds_bucket", "attn_call_sparsity_sum", "attn_batch_calls_bucket",
           "attn_payload_bytes_total", "attn_flops_total", "attn_queue_waiting_calls",
           "attn_queue_running_calls", "attn_queue_admitted_bytes", "attn_scopes",
           "attn_forced_override", "attn_backend_available", "attn_backend_quarantined",
           "attn_ready", "attn_draining", "attn_config_reloads_total",
           "attn_log_lines_dropped_total", "process_resident_memory_bytes",
           "process_cpu_seconds_total", "process_open_fds", "process_threads",
           "process_start_time_seconds")


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.dashboard = prometheus_expressions.dashboard()
        self.panels = self.dashboard["panels"]

    def test_shows_every_kind_of_metric(self):
        shown = {selector.metric for expression in prometheus_expressions.of_dashboard()
                 for selector in prometheus_expressions.selectors(expression.text)}
        self.assertFalse(set(METRICS) - shown)

    def test_asks_in_promql(self):
        rules = [{"record": f"panel:{number}", "expr": expression.text} for number, expression
                 in enumerate(prometheus_expressions.of_dashboard())]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            result = promtool("check", "rules", file.name)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_asks_the_chosen_source_job_and_instance(self):
        variables = {v["name"]: v["type"] for v in self.dashboard["templating"]["list"]}
        self.assertEqual(variables,
                         {"datasource": "datasource", "job": "query", "instance": "query"})
        for panel in self.panels:
            for target in panel.get("targets", ()):
                with self.subTest(panel["title"]):
                    self.assertEqual(panel["datasource"]["uid"], "${datasource}")
                    self.assertEqual(target["expr"].count("{"), target["expr"].count(
                        '{job=~"$job",instance=~"$instance"'))

    def test_panels_have_numbers_of_their_own_and_do_not_overlap(self):
        self.assertEqual(len({p["id"] for p in self.panels}), len(self.panels))
        taken = set()
        for panel in self.panels:
            grid = panel["gridPos"]
            self.assertLessEqual(grid["x"] + grid["w"], ROW)
            cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"])
                     for y in range(grid["y"], grid["y"] + grid["h"])}
            with self.subTest(panel["title"]):
                self.assertFalse(cells & taken)
            taken |= cells

    def test_is_the_configmaps(self):
        config_map = helm_chart.find(helm_chart.render(), "ConfigMap", "attnd-dashboard")
        self.assertEqual(config_map["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(json.loads(config_map["data"]["attnd.json"]), self.dashboard)


if __name__ == "__main__":
    sys.exit(attnd_process.main())
