"""Strict JSON schemas of the custom resources that the chart makes: the parts that it uses, after
the definitions of the Prometheus operator (v1) and KEDA (v1alpha1)."""

TEXT = {"type": "string", "minLength": 1}
DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}


def exactly(required=(), **properties):
    """An object with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "required": list(required),
            "properties": properties}


def listed(items):
    return {"type": "array", "minItems": 1, "items": items}


def resource(api_version, kind, spec):
    metadata = exactly(["name", "labels"], name=TEXT, labels=STRINGS, annotations=STRINGS)
    return exactly(["apiVersion", "kind", "metadata", "spec"], apiVersion={"const": api_version},
                   kind={"const": kind}, metadata=metadata, spec=spec)


SERVICE_MONITOR = resource("monitoring.coreos.com/v1", "ServiceMonitor", exactly(
    ["selector", "endpoints"],
    selector=exactly(["matchLabels"], matchLabels=STRINGS),
    namespaceSelector=exactly(matchNames=listed(TEXT), any={"type": "boolean"}),
    jobLabel=TEXT,
    endpoints=listed(exactly(
        ["port"], port=TEXT, path={"type": "string", "pattern": "^/"}, interval=DURATION,
        scrapeTimeout=DURATION, scheme={"enum": ["http", "https"]}))))

ALERT = exactly(["alert", "expr", "labels", "annotations"], alert=TEXT, expr=TEXT,
                labels=STRINGS, annotations=STRINGS, **{"for": DURATION})
RECORD = exactly(["record", "expr"], record=TEXT, expr=TEXT, labels=STRINGS)
PROMETHEUS_RULE = resource("monitoring.coreos.com/v1", "PrometheusRule", exactly(
    ["groups"],
    groups=listed(exactly(["name", "rules"], name=TEXT, interval=DURATION,
                          rules=listed({"oneOf": [ALERT, RECORD]})))))

SCALING_SIDE = exactly(stabilizationWindowSeconds=COUNT,
                       selectPolicy={"enum": ["Max", "Min", "Disabled"]},
                       policies=listed(exactly(["type", "value", "periodSeconds"],
                                               type={"enum": ["Pods", "Percent"]}, value=COUNT,
                                               periodSeconds=COUNT)))
SCALED_OBJECT = resource("keda.sh/v1alpha1", "ScaledObject", exactly(
    ["scaleTargetRef", "triggers"],
    scaleTargetRef=exactly(["name"], name=TEXT, kind=TEXT, apiVersion=TEXT),
    minReplicaCount=COUNT, maxReplicaCount=COUNT, pollingInterval=COUNT, cooldownPeriod=COUNT,
    advanced=exactly(horizontalPodAutoscalerConfig=exactly(
        behavior=exactly(scaleUp=SCALING_SIDE, scaleDown=SCALING_SIDE))),
    triggers=listed(exactly(
        ["type", "metadata"], type={"const": "prometheus"},
        metricType={"enum": ["AverageValue", "Value"]},
        # KEDA takes text alone here.
        metadata=exactly(["serverAddress", "query", "threshold"],
                         serverAddress={"type": "string", "pattern": "^https?://"}, query=TEXT,
                         threshold={"type": "string", "pattern": "^[0-9.]+$"})))))

BY_KIND = {"ServiceMonitor": SERVICE_MONITOR, "PrometheusRule": PROMETHEUS_RULE,
           "ScaledObject": SCALED_OBJECT}
