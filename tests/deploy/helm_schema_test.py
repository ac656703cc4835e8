"""Wrong values: Helm refuses them and says which."""

import json
import sys
import unittest

import attnd_process
import helm_chart

GIB = 1 << 30

# Values, and what the refusal says: by values.schema.json, which names the key, or by the chart's
# own checks, which name every value that plays a part.
WRONG = {
    "unknown key": ({"replica": 3}, "Additional property replica is not allowed"),
    "unknown key of attnd": ({"config": {"max_runing_calls": 4}},
                             "config: Additional property max_runing_calls is not allowed"),
    "key of attnd that the chart sets": ({"config": {"listen": ["[::]:1"]}},
                                         "config: Additional property listen is not allowed"),
    "unknown key of a probe": ({"probes": {"liveness": {"period": 1}}},
                               "probes.liveness: Additional property period is not allowed"),
    "text for a number": ({"config": {"workers": "four"}}, "config.workers: Invalid type"),
    "number for text": ({"config": {"unix_mode": 600}}, "config.unix_mode: Invalid type"),
    "fraction for a count": ({"replicas": 1.5}, "replicas: Invalid type"),
    "text for a switch": ({"config": {"warmup": "yes"}}, "config.warmup: Invalid type"),
    "no replicas": ({"replicas": -1}, "replicas: Must be greater than or equal to 0"),
    "too many workers": ({"config": {"workers": 1025}},
                         "config.workers: Must be less than or equal to 1024"),
    "CPUs that are no list": ({"config": {"worker_cpus": "0-"}},
                              "config.worker_cpus: Does not match pattern"),
    "key of attnd that no pod of the chart may use": (
        {"config": {"numa_node": 0}}, "config: Additional property numa_node is not allowed"),
    "unknown instruction set": ({"config": {"cpu_isa": "avx10"}}, "config.cpu_isa"),
    "message over protobuf's bound": ({"config": {"max_message_bytes": 1 << 31}},
                                      "config.max_message_bytes: Must be less than or equal"),
    "negative budget": ({"config": {"max_receive_bytes": -1}},
                        "config.max_receive_bytes: Must be greater than or equal to 0"),
    "unknown log level": ({"config": {"log_level": "trace"}}, "config.log_level"),
    "unknown admin access": ({"config": {"admin": "remote"}}, "config.admin"),
    "mode that is not octal": ({"config": {"unix_mode": "0680"}},
                               "config.unix_mode: Does not match pattern"),
    "privileged port": ({"ports": {"grpc": 80}}, "ports.grpc: Must be greater than or equal"),
    "root": ({"runAsUser": 0}, "runAsUser: Must be greater than or equal to 1"),
    "no memory limit": ({"resources": {"limits": {"memory": None}}}, "memory is required"),
    "memory without a unit Kubernetes knows": ({"memoryOverhead": "1GB"},
                                               "memoryOverhead: Does not match pattern"),
    "unknown resource": ({"resources": {"limits": {"nvidia.com/mig-9g.10gb": 1}}},
                         "Additional property nvidia.com/mig-9g.10gb is not allowed"),
    "half a GPU": ({"resources": {"limits": {"nvidia.com/gpu": 0.5}}}, "nvidia.com/gpu"),
    "unknown autoscaler": ({"autoscaling": {"by": "both"}}, "autoscaling.by"),
    "switch of the operator that is no word": ({"monitoring": {"serviceMonitor": True}},
                                               "monitoring.serviceMonitor"),
    "name of a service that is too long": ({"fullnameOverride": "a" * 53}, "fullnameOverride"),
    "name with capitals": ({"fullnameOverride": "Attnd"},
                           "fullnameOverride: Does not match pattern"),
    "nobody may call": ({"networkPolicy": {"clients": []}}, "networkPolicy.clients"),
    "peer without a selector": ({"networkPolicy": {"clients": [{}]}}, "networkPolicy.clients.0"),
    "unknown image variant": ({"image": {"variant": "rocm"}}, "image.variant"),
    "preset without a type": (
        {"presets": {"M": {"default_attention": "p", "attention_configs": {"p": {}}}}},
        "type is required"),
    "model with an unknown key": ({"presets": {"M": {"default_attention": "p", "scale": 1,
                                                     "attention_configs": {}}}},
                                  "Additional property scale is not allowed"),
    "unknown toleration": ({"tolerations": [{"effect": "NoRun"}]}, "tolerations.0.effect"),
    # What a schema cannot see.
    "memory below what is admitted": (
        {"resources": {"limits": {"memory": "8Gi"}}},
        f"limits.memory is 8Gi = {8 * GIB} bytes, but 1.25 x config.max_receive_bytes ({3 * GIB}) + "
        "2 x config.max_admitted_bytes + config.pool_idle_bytes + memoryOverhead + "
        f"sharedMemory.sizeLimit = {43 * GIB // 4} bytes"),
    "memory below what is received": (
        {"config": {"max_receive_bytes": 5 * GIB}},
        f"limits.memory is 12Gi = {12 * GIB} bytes, but 1.25 x config.max_receive_bytes "
        f"({5 * GIB}) + 2 x config.max_admitted_bytes + config.pool_idle_bytes + memoryOverhead + "
        f"sharedMemory.sizeLimit = {53 * GIB // 4} bytes"),
    "batch calls over the whole": ({"config": {"max_admitted_batch_bytes": 5 * GIB}},
                                   "config.max_admitted_batch_bytes is 5368709120, more than"),
    "no room for a message beside those admitted": (
        {"config": {"max_receive_bytes": 5 * GIB // 2 - 1}},
        f"config.max_receive_bytes is {5 * GIB // 2 - 1}, less than config.max_admitted_bytes + "
        f"config.max_message_bytes = {5 * GIB // 2}"),
    "connections that end at once": ({"config": {"max_connection_age_ms": 999}},
                                     "config.max_connection_age_ms"),
    "fewer at most than at least": ({"autoscaling": {"minReplicas": 9}},
                                    "autoscaling.minReplicas is 9, more than"),
    "one port for both": ({"ports": {"metrics": 8601}}, "ports.grpc and ports.metrics are both"),
    "client certificates without TLS": ({"tls": {"clientCa": True}}, "needs tls.secretName"),
    "rollout that cannot begin": ({"rollout": {"maxSurge": 0}}, "no rollout could ever begin"),
    "budget past the chart": ({"extraEnv": [{"name": "ATTN_MAX_ADMITTED_BYTES", "value": "1"}]},
                              "set config.max_admitted_bytes instead"),
}


class WrongValues(unittest.TestCase):
    def test_are_refused_with_the_key(self):
        for name, (values, message) in WRONG.items():
            with self.subTest(name):
                result = helm_chart.template(values=values)
                self.assertNotEqual(result.returncode, 0, "accepted")
                self.assertIn(message, " ".join(result.stderr.split()))


class Schema(unittest.TestCase):
    def objects(self, node, path="values"):
        """Every object schema with its path."""
        if isinstance(node, dict):
            if node.get("type") == "object":
                yield path, node
            for key, value in node.items():
                yield from self.objects(value, f"{path}.{key}")
        elif isinstance(node, list):
            for index, value in enumerate(node):
                yield from self.objects(value, f"{path}[{index}]")

    def test_names_every_key_of_every_object(self):
        schema = json.loads((helm_chart.CHART / "values.schema.json").read_text())
        for path, node in self.objects(schema):
            # Parts of a pod that Kubernetes checks, options that attnd checks, a parent's values.
            if "properties" in node or "patternProperties" in node:
                self.assertIs(node.get("additionalProperties"), False, path)
            self.assertTrue("description" in node or path == "values" or ".items" in path, path)

    def test_knows_every_key_of_the_values(self):
        yaml = attnd_process.package("yaml")
        schema = json.loads((helm_chart.CHART / "values.schema.json").read_text())
        values = yaml.safe_load((helm_chart.CHART / "values.yaml").read_text())
        self.assertEqual(set(values), set(schema["properties"]) - {"global"})


if __name__ == "__main__":
    sys.exit(attnd_process.main())
