{{/* Names and labels. */}}

{{- define "attnd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* 52 = 63, a Service's longest name, without -headless and some room. */}}
{{- define "attnd.fullname" -}}
{{- $name := include "attnd.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "attnd.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "attnd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* Of every object of the release, whatever its part. */}}
{{- define "attnd.releaseLabels" -}}
app.kubernetes.io/name: {{ include "attnd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of the server's pods; never changes, since a Deployment's selector may not. */}}
{{- define "attnd.selectorLabels" -}}
{{ include "attnd.releaseLabels" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "attnd.labels" -}}
{{ include "attnd.releaseLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "attnd.image" -}}
{{- $suffix := ternary "-cuda" "" (eq .Values.image.variant "cuda") -}}
{{- $tag := default (printf "%s%s" .Chart.AppVersion $suffix) .Values.image.tag -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end }}

{{/* What its metrics carry: `namespace` and `job` of the ServiceMonitor's Service. */}}
{{- define "attnd.seriesSelector" -}}
{{- printf `namespace="%s",job="%s"` .Release.Namespace (include "attnd.fullname" .) -}}
{{- end }}

{{/* Whether to make an object of the Prometheus operator: (list $ "auto|always|never"). */}}
{{- define "attnd.withOperator" -}}
{{- $root := index . 0 -}}
{{- $where := index . 1 -}}
{{- $known := $root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}
{{- if or (eq $where "always") (and (eq $where "auto") $known) -}}yes{{- end -}}
{{- end }}
