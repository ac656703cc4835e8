"""The chart with every values file and many values: objects that Kubernetes accepts, and that say
what they should."""

import itertools
import json
import re
import sys
import unittest

import attnd_process
import helm_chart
import helm_crd_schemas
from helm_chart import VALUES_FILES, WITH_OPERATOR, container_of, find, pod_of, render

TLS = {"tls": {"secretName": "attnd-tls", "clientCa": True, "testSecretName": "attn-tls"}}
# What may be combined with every values file.
VARIATIONS = {
    "as it stands": {},
    "TLS": {"tls": {"secretName": "attnd-tls"}},
    "mutual TLS and a token": {**TLS, "adminToken": {"secretName": "attnd-admin"}},
    "HPA": {"autoscaling": {"by": "hpa", "maxReplicas": 30}},
    "KEDA": {"autoscaling": {"by": "keda", "maxReplicas": 30}},
    "no autoscaler": {"autoscaling": {"by": "none"}},
    "operator": {"monitoring": {"serviceMonitor": "always", "prometheusRule": "always",
                                "dashboard": True, "labels": {"release": "prometheus"}}},
    "everything of a pod": {
        "image": {"pullSecrets": [{"name": "registry"}]},
        "serviceAccount": {"create": False, "name": "models"},
        "podLabels": {"team": "video"}, "podAnnotations": {"note": "1"},
        "priorityClassName": "serving", "runtimeClassName": "nvidia",
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spot", "operator": "Equal", "value": "yes",
                         "effect": "NoExecute", "tolerationSeconds": 60}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [
                {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["H200"]}]}]}}},
        "extraEnv": [{"name": "ATTN_BACKEND", "value": "flash"}],
        "extraVolumes": [{"name": "cache", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        "podDisruptionBudget": {"enabled": True, "maxUnavailable": "25%"},
        "networkPolicy": {"enabled": True, "clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
    },
}


class EveryValuesFile(unittest.TestCase):
    def test_passes_lint(self):
        for values_file in VALUES_FILES:
            with self.subTest(values_file):
                result = helm_chart.helm("lint", "--strict", helm_chart.CHART, "--values",
                                         helm_chart.CHART / values_file)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_renders_what_kubernetes_accepts_with_every_variation(self):
        kubernetes = attnd_process.package("kubernetes_validate")
        jsonschema = attnd_process.package("jsonschema")
        accepted = set()  # Most objects are the same in many combinations.
        for values_file, name in itertools.product(VALUES_FILES, VARIATIONS):
            with self.subTest(f"{values_file}, {name}"):
                objects = render(values_file=values_file, values=VARIATIONS[name])
                names = [(o["kind"], o["metadata"]["name"]) for o in objects]
                self.assertEqual(len(names), len(set(names)), names)
                for o in objects:
                    text = json.dumps(o)
                    if text in accepted:
                        continue
                    accepted.add(text)
                    if o["kind"] in helm_crd_schemas.BY_KIND:
                        jsonschema.validate(o, helm_crd_schemas.BY_KIND[o["kind"]])
                        continue
                    # The oldest that Chart.yaml admits, and the newest there is.
                    for version in ("1.30", kubernetes.latest_version()):
                        kubernetes.validate(o, version, strict=True)

    def test_asks_grpc_health_for_liveness_and_readiness_apart(self):
        for values_file in VALUES_FILES:
            with self.subTest(values_file):
                container = container_of(render(values_file=values_file))
                services = {probe: container[probe]["grpc"]["service"] for probe in
                            ("startupProbe", "livenessProbe", "readinessProbe")}
                self.assertEqual(services, {"startupProbe": "readiness",
                                            "livenessProbe": "liveness",
                                            "readinessProbe": "readiness"})
                self.assertEqual(container["livenessProbe"]["grpc"]["port"], 8601)
                # A GPU takes its time to begin with.
                startup = container["startupProbe"]
                seconds = startup["periodSeconds"] * startup["failureThreshold"]
                self.assertGreaterEqual(seconds, 600 if "gpu" in values_file else 60)

    def test_locks_the_pods_down(self):
        for values_file in VALUES_FILES:
            objects = render(values_file=values_file)
            for spec in (pod_of(objects), find(objects, "Pod")["spec"]):
                with self.subTest(values_file):
                    self.assertIs(spec["automountServiceAccountToken"], False)
                    self.assertIs(spec["enableServiceLinks"], False)
                    pod, container = spec["securityContext"], spec["containers"][0]
                    self.assertIs(pod["runAsNonRoot"], True)
                    self.assertGreater(pod["runAsUser"], 0)
                    self.assertEqual(pod["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertEqual(container["securityContext"], {
                        "allowPrivilegeEscalation": False, "privileged": False,
                        "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})

    def test_mounts_what_the_read_only_root_needs_writable(self):
        for values_file in VALUES_FILES:
            with self.subTest(values_file):
                objects = render(values_file=values_file)
                volumes = {v["name"]: v for v in pod_of(objects)["volumes"]}
                mounts = {m["mountPath"]: volumes[m["name"]]
                          for m in container_of(objects)["volumeMounts"]}
                self.assertEqual(mounts["/dev/shm"]["emptyDir"]["medium"], "Memory")
                self.assertIn("sizeLimit", mounts["/dev/shm"]["emptyDir"])
                self.assertIn("emptyDir", mounts["/run/attnd"])

    def test_gives_the_gpu_what_it_asks_for(self):
        for values_file, resource in {"values.yaml": None, "values-dev.yaml": None,
                                      "values-gpu.yaml": "nvidia.com/gpu",
                                      "values-gpu-mig.yaml": "nvidia.com/mig-1g.10gb"}.items():
            with self.subTest(values_file):
                objects = render(values_file=values_file)
                container = container_of(objects)
                devices = {k: v for k, v in container["resources"]["limits"].items()
                           if k.startswith("nvidia.com/")}
                self.assertEqual(devices, {resource: 1} if resource else {})
                self.assertEqual(container["image"].endswith("-cuda"), bool(resource))
                self.assertEqual("tolerations" in pod_of(objects), bool(resource))


class EndOfAPod(unittest.TestCase):
    def test_has_time_for_sleep_lame_duck_and_drain(self):
        cases = {  # lame duck ms, drain ms, propagation s, margin s -> preStop s, grace s
            (10_000, 30_000, 10, 10): (0, 50),
            (0, 30_000, 10, 10): (10, 50),
            (4_000, 30_000, 10, 10): (6, 50),
            (4_500, 30_000, 10, 5): (6, 46),    # The sleep and the sum are both rounded up.
            (12_001, 500, 10, 1): (0, 14),
            (0, 0, 0, 1): (0, 1),
            (3_600_000, 3_600_000, 600, 600): (0, 7800),
        }
        for (lame_duck, drain, propagation, margin), expected in cases.items():
            with self.subTest(lame_duck=lame_duck, drain=drain, propagation=propagation):
                objects = render(values={
                    "config": {"lame_duck_ms": lame_duck, "drain_limit_ms": drain},
                    "drain": {"propagationSeconds": propagation, "marginSeconds": margin}})
                sleep = container_of(objects).get("lifecycle", {}).get("preStop", {})
                self.assertEqual((sleep.get("sleep", {}).get("seconds", 0),
                                  pod_of(objects)["terminationGracePeriodSeconds"]), expected)

    def test_is_long_enough_in_every_values_file(self):
        yaml = attnd_process.package("yaml")
        for values_file in VALUES_FILES:
            with self.subTest(values_file):
                objects = render(values_file=values_file)
                config = yaml.safe_load(helm_chart.server_yaml(objects))
                server_ms = config["lame_duck_ms"] + config["drain_limit_ms"]
                self.assertGreater(pod_of(objects)["terminationGracePeriodSeconds"] * 1000,
                                   server_ms)


class Tls(unittest.TestCase):
    def test_probes_ask_over_the_unix_socket(self):
        container = container_of(render(values=TLS))
        self.assertEqual(container["livenessProbe"]["exec"]["command"], [
            "attn", "--server=unix:/run/attnd/attnd.sock", "--timeout=5s", "health",
            "--service=liveness"])
        self.assertEqual(container["readinessProbe"]["exec"]["command"][-1],
                         "--service=readiness")

    def test_files_are_those_of_the_mounted_secret(self):
        yaml = attnd_process.package("yaml")
        objects = render(values={**TLS, "adminToken": {"secretName": "admin", "key": "t"}})
        config = yaml.safe_load(helm_chart.server_yaml(objects))
        mounts = {m["mountPath"]: m["name"] for m in container_of(objects)["volumeMounts"]}
        volumes = {v["name"]: v.get("secret") for v in pod_of(objects)["volumes"]}
        for key, file in (("tls_certificate", "tls.crt"), ("tls_key", "tls.key"),
                          ("tls_client_ca", "ca.crt")):
            self.assertEqual(config[key], f"/etc/attnd-tls/{file}")
        self.assertEqual(volumes[mounts["/etc/attnd-tls"]]["secretName"], "attnd-tls")
        self.assertEqual(config["admin_token_file"], "/etc/attnd-admin/token")
        self.assertEqual(volumes[mounts["/etc/attnd-admin"]]["items"],
                         [{"key": "t", "path": "token"}])

    def test_test_pod_needs_a_certificate(self):
        self.assertIsNone(find(render(values={"tls": {"secretName": "attnd-tls"}}), "Pod"))
        arguments = find(render(values=TLS), "Pod")["spec"]["containers"][0]["args"]
        self.assertIn("--tls_certificate=/etc/attn-tls/tls.crt", arguments)


class Workers(unittest.TestCase):
    def test_are_counted_by_the_server_alone(self):
        yaml = attnd_process.package("yaml")
        for workers in (0, 3):
            with self.subTest(workers):
                objects = render(values={"config": {"workers": workers}})
                config = yaml.safe_load(helm_chart.server_yaml(objects))
                self.assertEqual(config["workers"], workers)
                self.assertNotIn("env", container_of(objects))


class Scaling(unittest.TestCase):
    def test_is_by_one_at_most(self):
        for by, kinds in {"none": [], "hpa": ["HorizontalPodAutoscaler"],
                          "keda": ["ScaledObject"]}.items():
            with self.subTest(by):
                objects = render(values={"autoscaling": {"by": by}})
                scalers = [o["kind"] for o in objects
                           if o["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]
                self.assertEqual(scalers, kinds)
                # A number of replicas beside a scaler would undo its work at every upgrade.
                self.assertEqual("replicas" in find(objects, "Deployment")["spec"], by == "none")

    def test_metric_of_the_hpa_is_the_adapter_rules(self):
        yaml = attnd_process.package("yaml")
        rules = (attnd_process.SOURCE / "deploy/prometheus/adapter-rules.yaml").read_text()
        hpa = find(render(), "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]
        self.assertEqual(hpa["metric"]["name"],
                         yaml.safe_load(rules)["rules"]["custom"][0]["name"]["as"])
        self.assertEqual(hpa["target"], {"type": "AverageValue", "averageValue": "50m"})


class Network(unittest.TestCase):
    def test_lets_in_callers_scrapers_and_the_test_alone(self):
        policy = find(render(values={"networkPolicy": {
            "clients": [{"podSelector": {"matchLabels": {"role": "model"}}}]}}), "NetworkPolicy")
        calls, scrapes = policy["spec"]["ingress"]
        self.assertEqual(calls["ports"], [{"protocol": "TCP", "port": "grpc"}])
        self.assertEqual([p["podSelector"]["matchLabels"].get("role") for p in calls["from"]],
                         ["model", None])
        self.assertEqual(calls["from"][1]["podSelector"]["matchLabels"]
                         ["app.kubernetes.io/component"], "test")
        self.assertEqual(scrapes["ports"], [{"protocol": "TCP", "port": "metrics"}])
        self.assertEqual(policy["spec"]["policyTypes"], ["Ingress", "Egress"])
        self.assertEqual({p["port"] for rule in policy["spec"]["egress"] for p in rule["ports"]},
                         {53})

    def test_services_select_the_servers_and_no_other_pod(self):
        objects = render()
        labels = find(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        test_labels = find(objects, "Pod")["metadata"]["labels"]
        for name in ("attnd", "attnd-headless"):
            selector = find(objects, "Service", name)["spec"]["selector"]
            self.assertLessEqual(selector.items(), labels.items())
            self.assertFalse(selector.items() <= test_labels.items())
        self.assertEqual(find(objects, "Service", "attnd-headless")["spec"]["clusterIP"], "None")


class Release(unittest.TestCase):
    def test_makes_the_operators_objects_where_the_cluster_knows_them(self):
        self.assertIsNone(find(render(), "ServiceMonitor"))
        objects = render(*WITH_OPERATOR)
        monitor = find(objects, "ServiceMonitor")["spec"]
        service = find(objects, "Service", "attnd")
        self.assertLessEqual(monitor["selector"]["matchLabels"].items(),
                             service["metadata"]["labels"].items())
        # The headless one would have every pod scraped twice.
        headless = find(objects, "Service", "attnd-headless")["metadata"]["labels"]
        self.assertFalse(monitor["selector"]["matchLabels"].items() <= headless.items())
        self.assertIsNotNone(find(objects, "PrometheusRule"))

    def test_of_another_name_shares_nothing_but_the_namespace(self):
        first = {(o["kind"], o["metadata"]["name"]) for o in render(*WITH_OPERATOR)}
        second = {(o["kind"], o["metadata"]["name"])
                  for o in render(*WITH_OPERATOR, release="video")}
        self.assertEqual(len(first), len(second))
        self.assertFalse(first & second)

    def test_rolls_out_a_changed_configuration(self):
        def checksum(values):
            template = find(render(values=values), "Deployment")["spec"]["template"]
            return template["metadata"]["annotations"]["checksum/config"]
        self.assertEqual(checksum({}), checksum({}))
        self.assertNotEqual(checksum({}), checksum({"config": {"log_level": "debug"}}))
        self.assertNotEqual(checksum({}), checksum({"presets": {
            "M": {"default_attention": "p", "attention_configs": {"p": {"type": "dense"}}}}}))

    def test_is_of_the_programs_version_and_user(self):
        cmake = (attnd_process.SOURCE / "CMakeLists.txt").read_text()
        version = re.search(r"project\(attnd VERSION (\S+)", cmake).group(1)
        objects = render()
        self.assertEqual(container_of(objects)["image"], f"attnd:{version}")
        tree = (attnd_process.SOURCE / "deploy/container/install_tree.sh").read_text()
        user = int(re.search(r"^user=(\d+)", tree, re.MULTILINE).group(1))
        self.assertEqual(pod_of(objects)["securityContext"]["runAsUser"], user)


if __name__ == "__main__":
    sys.exit(attnd_process.main())
