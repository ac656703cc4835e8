"""The chart as Helm renders it."""

import json
import subprocess

import attnd_process

CHART = attnd_process.SOURCE / "deploy/helm/attnd"
VALUES_FILES = ("values.yaml", "values-gpu.yaml", "values-gpu-mig.yaml", "values-dev.yaml")
# As in a cluster with the Prometheus operator.
WITH_OPERATOR = ("--api-versions", "monitoring.coreos.com/v1")


def helm(*arguments, values=None):
    """Runs Helm; `values` go over the values files."""
    command = [attnd_process.tool("helm"), *map(str, arguments)]
    if values is not None:
        command += ["--values", "-"]
    return subprocess.run(command, input=json.dumps(values or {}), capture_output=True, text=True,
                          timeout=60)


def template(*arguments, values=None, values_file="values.yaml", release="attnd",
             namespace="prod"):
    """The outcome of `helm template`."""
    return helm("template", release, CHART, "--namespace", namespace, "--values",
                CHART / values_file, *arguments, values=values)


def render(*arguments, **options):
    """The objects of the chart."""
    result = template(*arguments, **options)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    yaml = attnd_process.package("yaml")
    # libyaml's, several times as fast, is in every wheel of PyYAML but not in every build.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [o for o in yaml.load_all(result.stdout, Loader=loader) if o]


def find(objects, kind, name=None):
    """The one object of this kind (and name), or None."""
    found = [o for o in objects
             if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    if len(found) > 1:
        raise AssertionError(f"{len(found)} of {kind}")
    return found[0] if found else None


def pod_of(objects):
    return find(objects, "Deployment")["spec"]["template"]["spec"]


def container_of(objects):
    return pod_of(objects)["containers"][0]


def server_yaml(objects, name="attnd"):
    """The text of attnd's configuration file."""
    return find(objects, "ConfigMap", name)["data"]["server.yaml"]
