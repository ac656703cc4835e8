{{/* Bytes, seconds, and what of them must fit together. */}}

{{/* A quantity in whole units (10Gi, 512M, 1024) as bytes. */}}
{{- define "attnd.bytes" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000
      "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := regexFind "[A-Za-z]*$" . -}}
{{- mul (trimSuffix $unit . | int64) (get $units $unit) -}}
{{- end }}

{{/* The server's default for what the values leave out. */}}
{{- define "attnd.messageBytes" -}}
{{- default 1073741824 .Values.config.max_message_bytes | int64 -}}
{{- end }}

{{/* config.max_receive_bytes, with its 0 as the server takes it. */}}
{{- define "attnd.receiveBytes" -}}
{{- $twoMessages := mul 2 (include "attnd.messageBytes" . | int64) -}}
{{- default (add (int64 .Values.config.max_admitted_bytes) $twoMessages)
      (int64 .Values.config.max_receive_bytes) -}}
{{- end }}

{{/* What the memory of a pod may be asked to hold: the bound of server/services/channel_limits.h,
     memoryOverhead for the process and its connections, and /dev/shm. */}}
{{- define "attnd.memoryBytes" -}}
{{- add (div (mul 5 (include "attnd.receiveBytes" . | int64)) 4)
      (mul 2 (int64 .Values.config.max_admitted_bytes))
      (int64 .Values.config.pool_idle_bytes)
      (include "attnd.bytes" .Values.memoryOverhead)
      (include "attnd.bytes" .Values.sharedMemory.sizeLimit) -}}
{{- end }}

{{/* Seconds to sleep before SIGTERM: what the lame duck leaves of the propagation. */}}
{{- define "attnd.preStopSeconds" -}}
{{- $lameDuckSeconds := div (int64 .Values.config.lame_duck_ms) 1000 -}}
{{- max 0 (sub (int64 .Values.drain.propagationSeconds) $lameDuckSeconds) -}}
{{- end }}

{{/* Sleep, lame duck and drain (rounded up), and the margin. */}}
{{- define "attnd.graceSeconds" -}}
{{- $serverMs := add (int64 .Values.config.lame_duck_ms) (int64 .Values.config.drain_limit_ms) -}}
{{- add (include "attnd.preStopSeconds" .) (div (add $serverMs 999) 1000)
      (int64 .Values.drain.marginSeconds) -}}
{{- end }}

{{/* What a schema cannot see: values that contradict one another. Renders to nothing. */}}
{{- define "attnd.check" -}}
{{- $limit := include "attnd.bytes" .Values.resources.limits.memory | int64 -}}
{{- $needed := include "attnd.memoryBytes" . | int64 -}}
{{- if lt $limit $needed -}}
{{- fail (printf "resources.limits.memory is %s = %d bytes, but 1.25 x config.max_receive_bytes (%d) + 2 x config.max_admitted_bytes + config.pool_idle_bytes + memoryOverhead + sharedMemory.sizeLimit = %d bytes: raise the limit or lower those" .Values.resources.limits.memory $limit (include "attnd.receiveBytes" . | int64) $needed) -}}
{{- end -}}
{{- with .Values.config.max_admitted_batch_bytes -}}
{{- if gt (int64 .) (int64 $.Values.config.max_admitted_bytes) -}}
{{- fail (printf "config.max_admitted_batch_bytes is %d, more than config.max_admitted_bytes, %d" (int64 .) (int64 $.Values.config.max_admitted_bytes)) -}}
{{- end -}}
{{- end -}}
{{- $message := include "attnd.messageBytes" . | int64 -}}
{{- $leastReceive := add (int64 .Values.config.max_admitted_bytes) $message -}}
{{- $receive := include "attnd.receiveBytes" . | int64 -}}
{{- if lt $receive $leastReceive -}}
{{- fail (printf "config.max_receive_bytes is %d, less than config.max_admitted_bytes + config.max_message_bytes = %d: admitted calls would be cut off; 0 = as much and one message more" $receive $leastReceive) -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas is %d, more than autoscaling.maxReplicas, %d" (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if eq (int .Values.ports.grpc) (int .Values.ports.metrics) -}}
{{- fail (printf "ports.grpc and ports.metrics are both %d" (int .Values.ports.grpc)) -}}
{{- end -}}
{{- if and .Values.tls.clientCa (not .Values.tls.secretName) -}}
{{- fail "tls.clientCa needs tls.secretName, the secret that holds ca.crt" -}}
{{- end -}}
{{- if and (eq (int .Values.rollout.maxUnavailable) 0) (eq (int .Values.rollout.maxSurge) 0) -}}
{{- fail "rollout.maxUnavailable and rollout.maxSurge are both 0: no rollout could ever begin" -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if and (hasPrefix "ATTN_" .name) (ne .name "ATTN_BACKEND") -}}
{{- fail (printf "extraEnv %s: set config.%s instead, which the chart reckons with" .name (trimPrefix "ATTN_" .name | lower)) -}}
{{- end -}}
{{- end -}}
{{- end }}
