"""Recording and alert rules: promtool's checks and unit tests; and the chart narrows them to its
release, no more."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import attnd_process
import helm_chart

RULES = helm_chart.CHART / "rules"
UNIT_TESTS = pathlib.Path(__file__).resolve().parent / "rules"


def promtool(*arguments):
    program = shutil.which("promtool")
    if program is None:
        raise unittest.SkipTest("no promtool: install Debian's package prometheus")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                          timeout=60)


def load(path):
    return attnd_process.package("yaml").safe_load(path.read_text())


def rendered_groups(**options):
    objects = helm_chart.render(*helm_chart.WITH_OPERATOR, **options)
    return helm_chart.find(objects, "PrometheusRule")["spec"]["groups"]


class Rules(unittest.TestCase):
    def test_are_well_formed(self):
        result = promtool("check", "rules", *sorted(RULES.glob("*.yaml")))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_record_and_alert_as_their_unit_tests_say(self):
        result = promtool("test", "rules", *sorted(UNIT_TESTS.glob("*.yaml")))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_without_any_one_of_them_a_unit_test_fails(self):
        files = {path.name: load(path) for path in RULES.glob("*.yaml")}
        for name, file in files.items():
            unit_tests = load(UNIT_TESTS / name)
            for rule in list(file["groups"][0]["rules"]):
                others = [r for r in file["groups"][0]["rules"] if r != rule]
                changed = {**files, name: {"groups": [{**file["groups"][0], "rules": others}]}}
                rule_name = rule.get("alert", rule.get("record"))
                its_own = [t for t in unit_tests["tests"] if rule_name in json.dumps(t)]
                with self.subTest(rule_name):
                    self.assertTrue(its_own)
                    few = {**unit_tests, "tests": its_own}
                    self.assertNotEqual(self.outcome(changed, few), 0)

    @staticmethod
    def outcome(files, unit_tests):
        """promtool's exit code for these unit tests over these rules."""
        with tempfile.TemporaryDirectory() as folder:
            for name, file in files.items():
                pathlib.Path(folder, name).write_text(json.dumps(file))
            here = [pathlib.Path(path).name for path in unit_tests["rule_files"]]
            path = pathlib.Path(folder, "unit_tests.yaml")
            path.write_text(json.dumps({**unit_tests, "rule_files": here}))
            return promtool("test", "rules", path).returncode

    def test_alerts_say_how_bad_it_is_and_what_to_do(self):
        for rule in load(RULES / "alerts.yaml")["groups"][0]["rules"]:
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
                self.assertEqual(set(rule["annotations"]), {"summary", "description", "runbook"})


class ChartsRules(unittest.TestCase):
    def test_are_those_of_the_files(self):
        def outline(groups):
            return [(g["name"], [(r.get("alert"), r.get("record"), r.get("for"),
                                  r.get("annotations")) for r in g["rules"]]) for g in groups]
        files = [group for path in sorted(RULES.glob("*.yaml")) for group in load(path)["groups"]]
        self.assertEqual(outline(rendered_groups()), outline(files))

    def test_look_at_their_release_alone(self):
        groups = rendered_groups(release="video", namespace="models")
        text = json.dumps(groups)
        self.assertNotIn('job=\\"attnd\\"', text)
        for group in groups:
            for rule in group["rules"]:
                if rule.get("record") == "job:attn_memory_limit:bytes":
                    self.assertEqual(rule["labels"],
                                     {"namespace": "models", "job": "video-attnd"})
                    continue
                with self.subTest(rule.get("alert", rule.get("record"))):
                    expression = "".join(rule["expr"].split())
                    narrowed = expression.count('{namespace="models",job="video-attnd"')
                    self.assertGreater(narrowed, 0)
                    self.assertEqual(narrowed, expression.count("{"))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump({"groups": groups}, file)
            file.flush()
            result = promtool("check", "rules", file.name)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_know_the_memory_limit(self):
        for values_file, gib in {"values.yaml": 12, "values-gpu.yaml": 48,
                                 "values-gpu-mig.yaml": 14}.items():
            limits = [rule["expr"] for group in rendered_groups(values_file=values_file)
                      for rule in group["rules"]
                      if rule.get("record") == "job:attn_memory_limit:bytes"]
            self.assertEqual(limits, [f"vector({gib << 30})"])


if __name__ == "__main__":
    sys.exit(attnd_process.main())
