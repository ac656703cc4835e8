{{/* Files and probes of the server. */}}

{{- define "attnd.socket" -}}
unix:/run/attnd/attnd.sock
{{- end }}

{{/* attnd's configuration file: values.config and what follows from the other values. */}}
{{- define "attnd.serverYaml" -}}
{{- $config := deepCopy .Values.config -}}
{{- $tcp := printf "%s:%d" .Values.listenHost (int .Values.ports.grpc) -}}
{{- $_ := set $config "listen" (list $tcp (include "attnd.socket" .)) -}}
{{- $_ := set $config "metrics_listen" (printf "0.0.0.0:%d" (int .Values.ports.metrics)) -}}
{{- if .Values.presets -}}
{{- $_ := set $config "presets" "attention_config.yaml" -}}
{{- end -}}
{{- if .Values.tls.secretName -}}
{{- $_ := set $config "tls_certificate" "/etc/attnd-tls/tls.crt" -}}
{{- $_ := set $config "tls_key" "/etc/attnd-tls/tls.key" -}}
{{- end -}}
{{- if .Values.tls.clientCa -}}
{{- $_ := set $config "tls_client_ca" "/etc/attnd-tls/ca.crt" -}}
{{- end -}}
{{- if .Values.adminToken.secretName -}}
{{- $_ := set $config "admin_token_file" "/etc/attnd-admin/token" -}}
{{- end -}}
{{- range list "admin" "log_level" -}}
{{- if hasKey $config . -}}
{{- if eq (toString (get $config .)) "false" -}}
{{- /* YAML 1.1 reads a bare `off` as false. */ -}}
{{- $_ := set $config . "off" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}

{{/* (list $ SERVICE TIMING). The kubelet asks gRPC health itself, but speaks no TLS to a server that
     wants its clients' certificates: with TLS the image's own client asks over the Unix socket. */}}
{{- define "attnd.probe" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $timing := index . 2 -}}
{{- if $root.Values.tls.secretName -}}
exec:
  command:
    - attn
    - --server={{ include "attnd.socket" $root }}
    - --timeout={{ int $timing.timeoutSeconds }}s
    - health
    - --service={{ $service }}
{{- else -}}
grpc:
  port: {{ int $root.Values.ports.grpc }}
  service: {{ $service }}
{{- end }}
periodSeconds: {{ int $timing.periodSeconds }}
timeoutSeconds: {{ int $timing.timeoutSeconds }}
failureThreshold: {{ int $timing.failureThreshold }}
{{- end }}

{{/* The same for the server and the test pod. */}}
{{- define "attnd.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ int64 .Values.runAsUser }}
runAsGroup: {{ int64 .Values.runAsUser }}
fsGroup: {{ int64 .Values.runAsUser }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "attnd.containerSecurityContext" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
