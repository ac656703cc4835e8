#include "server/config/config_keys.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/config/address_syntax.h"
#include "server/config/yaml_mapping.h"

namespace attn {
namespace {

using O = ServerOptions;
using enum KeyType;

constexpr bool kReloads = true;
constexpr bool kAtStart = false;

// Bounds of server/executor, which refuses what is outside: no machine has as many hardware
// threads, ...
constexpr int64_t kMostWorkers = 1024;
constexpr int64_t kMostNode = 1023;  // Linux is built for 1024 at most.
constexpr int64_t kMostWaiting = 1'000'000;
// ... and a running call holds its payload, its outputs and a workspace: thousands fit no memory.
constexpr int64_t kMostRunning = 4096;
constexpr int64_t kMostBatchCalls = 1024;
constexpr int64_t kMostBatchDelayUs = 1'000'000;
constexpr int64_t kMostBytes = int64_t{1} << 50;
// Below 64 KiB the small fields of a call with a plan or a long option list may not fit.
constexpr int64_t kLeastMessage = 64 << 10;
constexpr int64_t kMostMessage = (int64_t{1} << 31) - 1;
constexpr int64_t kMostStreams = 1 << 16;
// Sockets without their owner's bits serve nobody.
constexpr int64_t kLeastMode = 0600;
constexpr int64_t kMostMode = 0777;
constexpr int64_t kHourMs = 3'600'000;  // Beyond every orchestrator's patience.
constexpr int64_t kWeekMs = 168 * kHourMs;

constexpr ConfigKey kKeys[] = {
    {"listen", kAddresses, &O::listen, 0, 0, "ADDRESS", kAtStart,
     "where calls arrive: host:port, [IPv6]:port or unix:PATH; port 0 = any free one"},
    {"metrics_listen", kMetricsAddress, &O::metrics_listen, 0, 0, "ADDRESS", kAtStart,
     "host:port where Prometheus reads /metrics, or off"},
    {"unix_mode", kMode, &O::unix_mode, kLeastMode, kMostMode, "OCTAL", kAtStart,
     "permissions of Unix sockets"},
    {"admin", kChoice, &O::admin, 0, 0, "off|local|all", kAtStart,
     "listeners that answer AdminService; local = loopback, Unix sockets that are their owner's "
     "alone, and callers with a client certificate or the token"},
    {"admin_token_file", kPath, &O::admin_token_file, 0, 0, "PATH", kAtStart,
     "file whose one line is the token of admin calls"},
    {"tls_certificate", kPath, &O::tls_certificate, 0, 0, "PATH", kAtStart,
     "PEM chain of the TCP listeners, read again when it changes"},
    {"tls_key", kPath, &O::tls_key, 0, 0, "PATH", kAtStart, "PEM key of tls_certificate"},
    {"tls_client_ca", kPath, &O::tls_client_ca, 0, 0, "PATH", kAtStart,
     "PEM; clients must show a certificate that it signed"},
    {"max_connection_age_ms", kInteger, &O::max_connection_age_ms, 0, kWeekMs, "MS", kAtStart,
     "connections are asked to go after this long; 0 = never"},
    {"max_message_bytes", kInteger, &O::max_message_bytes, kLeastMessage, kMostMessage, "BYTES",
     kAtStart, "largest request message"},
    {"max_receive_bytes", kInteger, &O::max_receive_bytes, 0, kMostBytes, "BYTES", kAtStart,
     "requests from their first byte until their call has run, over all connections; 0 = "
     "max_admitted_bytes and two messages"},
    {"max_concurrent_streams", kInteger, &O::max_concurrent_streams, 1, kMostStreams, "CALLS",
     kAtStart, "calls in flight on one connection"},
    {"presets", kPath, &O::presets, 0, 0, "PATH", kReloads,
     "backends and options by model (attention_config.yaml)"},
    {"force_backend", kBackend, &O::force_backend, 0, 0, "BACKEND", kReloads,
     "forced override: a backend, or auto for automatic selection"},
    {"plugin_dir", kPath, &O::plugin_dir, 0, 0, "PATH", kAtStart,
     "folder whose *.so bring backends and mask functions of their own (attn_plugin.h); none = no "
     "plug-ins. They are code in this process: one that crashes takes the server with it"},
    {"workers", kInteger, &O::workers, 0, kMostWorkers, "THREADS", kAtStart,
     "threads that compute; 0 = one for each CPU that they may run on, at most the cgroup's CPU "
     "quota, rounded up"},
    {"worker_cpus", kText, &O::worker_cpus, 0, 0, "CPUS", kAtStart,
     "CPUs to pin these threads to, one on each in this order, as 0-7,16-23; none = the scheduler "
     "decides"},
    {"numa_node", kInteger, &O::numa_node, -1, kMostNode, "NODE", kAtStart,
     "NUMA node whose CPUs these threads run on and whose memory the server prefers; -1 = any"},
    {"cpu_isa", kChoice, &O::cpu_isa, 0, 0, "auto|portable|avx2|avx512|avx512_bf16|amx_bf16",
     kAtStart, "instructions that the CPU engine uses; auto = the fastest that this machine has"},
    {"max_waiting_calls", kInteger, &O::max_waiting_calls, 0, kMostWaiting, "CALLS", kReloads,
     "interactive calls that may wait in the queue"},
    {"max_waiting_batch_calls", kInteger, &O::max_waiting_batch_calls, 0, kMostWaiting, "CALLS",
     kReloads, "batch calls that may wait in the queue"},
    {"max_running_calls", kInteger, &O::max_running_calls, 1, kMostRunning, "CALLS", kReloads,
     "calls whose tiles take turns on the workers"},
    {"max_admitted_bytes", kInteger, &O::max_admitted_bytes, 1, kMostBytes, "BYTES", kAtStart,
     "payload, outputs and workspaces of all admitted calls"},
    {"max_admitted_batch_bytes", kInteger, &O::max_admitted_batch_bytes, 0, kMostBytes, "BYTES",
     kReloads, "of those, what batch calls may have; 0 = half"},
    {"max_batch_calls", kInteger, &O::max_batch_calls, 1, kMostBatchCalls, "CALLS", kReloads,
     "calls that run together as one batch; 1 = each alone"},
    {"batch_delay_us", kInteger, &O::batch_delay_us, 0, kMostBatchDelayUs, "US", kReloads,
     "how long a call waits for company, of backends that launch batches (on a GPU; none of the "
     "CPU's does); 0 = it joins only what is queued already"},
    {"pool_idle_bytes", kInteger, &O::pool_idle_bytes, 0, kMostBytes, "BYTES", kAtStart,
     "payload buffers kept for the next call"},
    {"warmup", kBool, &O::warmup, 0, 0, "true|false", kAtStart,
     "run a small call on every backend before the server is ready"},
    {"lame_duck_ms", kInteger, &O::lame_duck_ms, 0, kHourMs, "MS", kReloads,
     "after SIGTERM: how long calls are served on while readiness is off"},
    {"drain_limit_ms", kInteger, &O::drain_limit_ms, 0, kHourMs, "MS", kReloads,
     "after the lame-duck time: how long admitted calls may take to finish"},
    {"log_format", kChoice, &O::log_format, 0, 0, "text|json", kAtStart, "of the log on stderr"},
    {"log_level", kChoice, &O::log_level, 0, 0, "debug|info|warning|error|off", kReloads,
     "least severity that is logged; debug = every call"},
    {"slow_call_ms", kInteger, &O::slow_call_ms, 0, kHourMs, "MS", kReloads,
     "a call this long is logged as a warning; 0 = none"},
};

absl::Status Invalid(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::Status SetAddress(absl::string_view text, std::vector<std::string>* addresses) {
  ATTN_RETURN_IF_ERROR(CheckListenAddress(text));
  // Port 0 may be asked for again and again: each is another port.
  const bool again = std::find(addresses->begin(), addresses->end(), text) != addresses->end();
  if (again && !absl::EndsWith(text, ":0")) {
    return Invalid(absl::StrCat("address ", Quoted(text), " is listed twice"));
  }
  addresses->emplace_back(text);
  return absl::OkStatus();
}

absl::Status CheckText(const ConfigKey& key, absl::string_view text) {
  switch (key.type) {
    case kMetricsAddress:
      return text == kNoMetrics ? absl::OkStatus() : CheckMetricsAddress(text);
    case kChoice: {
      const std::vector<std::string> names = absl::StrSplit(key.value, '|');
      if (std::find(names.begin(), names.end(), text) != names.end()) return absl::OkStatus();
      return Invalid(UnknownNameMessage("value", text, names));
    }
    case kBackend:  // Plug-ins, which the configuration names, bring backends of their own.
    case kText:
      return absl::OkStatus();
    default:  // A path: whether there is a file is found out when it is read.
      return absl::StrContains(text, '\0') ? Invalid("a zero byte in the path") : absl::OkStatus();
  }
}

absl::Status SetInteger(const ConfigKey& key, absl::string_view text, int64_t* to) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) {
    return Invalid(absl::StrCat("expected ", Expectation(key), ", here stands ", Quoted(text)));
  }
  if (number < key.min || number > key.max) return Invalid(OutOfRange(number, key.min, key.max));
  *to = number;
  return absl::OkStatus();
}

absl::Status SetMode(const ConfigKey& key, absl::string_view text, int64_t* to) {
  const bool octal = !text.empty() && text.size() <= 4 &&
                     text.find_first_not_of("01234567") == absl::string_view::npos;
  int64_t mode = 0;
  for (const char digit : text) mode = 8 * mode + (digit - '0');
  if (!octal || mode < key.min || mode > key.max) {
    return Invalid(absl::StrCat("expected ", Expectation(key), ", here stands ", Quoted(text)));
  }
  *to = mode;
  return absl::OkStatus();
}

absl::Status SetBool(const ConfigKey& key, absl::string_view text, bool* to) {
  if (text != "true" && text != "false") {
    return Invalid(absl::StrCat("expected ", Expectation(key), ", here stands ", Quoted(text)));
  }
  *to = text == "true";
  return absl::OkStatus();
}

}  // namespace

std::span<const ConfigKey> ConfigKeys() { return kKeys; }

const ConfigKey* FindConfigKey(absl::string_view name) {
  const auto* found = std::find_if(std::begin(kKeys), std::end(kKeys),
                                   [name](const ConfigKey& key) { return key.name == name; });
  return found == std::end(kKeys) ? nullptr : found;
}

std::string VariableOf(const ConfigKey& key) {
  return absl::StrCat("ATTN_", absl::AsciiStrToUpper(key.name));
}

std::string Expectation(const ConfigKey& key) {
  switch (key.type) {
    case kAddresses:
      return "a list of addresses";
    case kInteger:
      return absl::StrCat("an integer from ", key.min, " to ", key.max);
    case kBool:
      return "true or false";
    case kMode:
      return absl::StrFormat("an octal mode from \"%04o\" to \"%04o\" in quotes", key.min, key.max);
    default:
      return "text";
  }
}

absl::Status SetFromText(const ConfigKey& key, absl::string_view text, ServerOptions* options) {
  return std::visit(
      [&](auto member) -> absl::Status {
        auto& to = options->*member;
        using Value = std::remove_reference_t<decltype(to)>;
        if constexpr (std::is_same_v<Value, std::vector<std::string>>) {
          return SetAddress(text, &to);
        } else if constexpr (std::is_same_v<Value, std::string>) {
          ATTN_RETURN_IF_ERROR(CheckText(key, text));
          to = std::string(text);
          return absl::OkStatus();
        } else if constexpr (std::is_same_v<Value, bool>) {
          return SetBool(key, text, &to);
        } else {
          return key.type == kMode ? SetMode(key, text, &to) : SetInteger(key, text, &to);
        }
      },
      key.member);
}

std::vector<std::string> TextsOf(const ConfigKey& key, const ServerOptions& options) {
  return std::visit(
      [&](auto member) -> std::vector<std::string> {
        const auto& value = options.*member;
        using Value = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::vector<std::string>>) {
          return value;
        } else if constexpr (std::is_same_v<Value, std::string>) {
          return {value};
        } else if constexpr (std::is_same_v<Value, bool>) {
          return {value ? "true" : "false"};
        } else {
          return {key.type == kMode ? absl::StrFormat("%04o", value) : absl::StrCat(value)};
        }
      },
      key.member);
}

void CopyOption(const ConfigKey& key, const ServerOptions& from, ServerOptions* to) {
  std::visit([&](auto member) { to->*member = from.*member; }, key.member);
}

}  // namespace attn
