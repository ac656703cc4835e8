"""Every PromQL expression of deploy/, and the series that it names."""

import json
import re
from typing import NamedTuple

import attnd_process
import helm_chart

# Labels that Prometheus gives, not the server.
TARGET_LABELS = {"namespace", "job", "instance", "pod"}
# Grafana's variables, as when all of everything is chosen.
GRAFANA = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*"}


class Expression(NamedTuple):
    place: str
    text: str


class Selector(NamedTuple):
    metric: str
    matchers: tuple  # (label, operator, value)


def _replaced(text, values):
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def of_rules():
    yaml = attnd_process.package("yaml")
    for path in sorted((helm_chart.CHART / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield Expression(rule.get("alert", rule.get("record")), rule["expr"])


def dashboard():
    return json.loads((helm_chart.CHART / "dashboards/attnd.json").read_text())


def of_dashboard():
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            place = f"panel {panel['title']}, {target['refId']}"
            yield Expression(place, _replaced(target["expr"], GRAFANA))
    for annotation in dashboard()["annotations"]["list"]:
        yield Expression(f"annotation {annotation['name']}",
                         _replaced(annotation["expr"], GRAFANA))


def of_adapter(namespace, pod):
    """As the Prometheus adapter asks for this pod."""
    yaml = attnd_process.package("yaml")
    path = attnd_process.SOURCE / "deploy/prometheus/adapter-rules.yaml"
    for rule in yaml.safe_load(path.read_text())["rules"]["custom"]:
        yield Expression("adapter, seriesQuery", rule["seriesQuery"])
        yield Expression("adapter, metricsQuery", _replaced(rule["metricsQuery"], {
            "<<.Series>>": rule["name"]["matches"].strip("^$"), "<<.GroupBy>>": "pod",
            "<<.LabelMatchers>>": f'namespace="{namespace}",pod=~"{pod}"'}))


def of_keda(**options):
    objects = helm_chart.render(values={"autoscaling": {"by": "keda"}}, **options)
    for trigger in helm_chart.find(objects, "ScaledObject")["spec"]["triggers"]:
        yield Expression("KEDA", trigger["metadata"]["query"])


def selectors(text):
    """The series of attnd that an expression names; recorded ones (with a colon) are not."""
    for name, inside in re.findall(r"(?<![\w:])((?:attn|process)_\w+)(?![\w:])\s*(?:\{([^}]*)\})?",
                                   text):
        yield Selector(name, tuple(re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', inside)))


def recorded(text):
    """The recorded series that an expression names."""
    return set(re.findall(r"\bjob\w*:\w+:\w+", text))
