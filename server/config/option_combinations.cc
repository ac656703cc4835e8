#include "server/config/option_combinations.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "server/config/address_syntax.h"

namespace attn {
namespace {

bool IsUnix(absl::string_view address) { return absl::StartsWith(address, kUnixPrefix); }

// Twins in server/services: IsLoopback (listen_address.h) of resolved addresses, IsOwnersAlone
// (server.cc). Those decide; these warn, and must say the same. No layer is below both.
bool IsLoopback(absl::string_view address) {
  return absl::StartsWith(address, "localhost:") || absl::StartsWith(address, "127.") ||
         absl::StartsWith(address, "[::1]:");
}

bool IsOwnersAlone(int64_t unix_mode) { return (unix_mode & 077) == 0; }

// A connection that ends sooner is hardly made before it goes.
constexpr int64_t kLeastConnectionAgeMs = 1000;

class Checks {
 public:
  using Keys = std::initializer_list<absl::string_view>;

  Checks(const ServerConfig& config, const std::set<std::string, std::less<>>& broken)
      : config_(config), o_(config.options), broken_(broken) {
    unix_ = std::any_of(o_.listen.begin(), o_.listen.end(), IsUnix);
    tcp_ = !std::all_of(o_.listen.begin(), o_.listen.end(), IsUnix);
    network_ = std::any_of(o_.listen.begin(), o_.listen.end(), [](const std::string& address) {
      return !IsUnix(address) && !IsLoopback(address);
    });
  }

  CombinationFindings Run() {
    Tls();
    Budgets();
    Admin();
    Mistake({"worker_cpus", "numa_node"}, !o_.worker_cpus.empty() && o_.numa_node >= 0,
            "each says where workers run; leave one out, the CPUs of a node can be listed");
    Mistake({"metrics_listen", "listen"}, ListensTwice(),
            "one address for both; give the metrics a port of their own");
    Warning({"slow_call_ms", "log_level"},
            o_.slow_call_ms > 0 && (o_.log_level == "error" || o_.log_level == "off"),
            "slow calls are warnings, which this level leaves out");
    return std::move(findings_);
  }

 private:
  void Tls() {
    Mistake({"tls_certificate", "tls_key"}, !o_.tls_certificate.empty() && o_.tls_key.empty(),
            "a certificate needs its key; set tls_key");
    Mistake({"tls_key", "tls_certificate"}, o_.tls_certificate.empty() && !o_.tls_key.empty(),
            "a key needs its certificate; set tls_certificate");
    Mistake({"tls_client_ca", "tls_certificate"},
            !o_.tls_client_ca.empty() && o_.tls_certificate.empty(),
            "clients show certificates only over TLS; set tls_certificate and tls_key");
    Warning({"tls_certificate", "listen"}, !o_.tls_certificate.empty() && !tcp_,
            "no TCP address is listened on, and Unix sockets have no TLS");
  }

  void Budgets() {
    Mistake({"max_admitted_batch_bytes", "max_admitted_bytes"},
            o_.max_admitted_batch_bytes > o_.max_admitted_bytes,
            absl::StrCat("batch calls may have a part of all ", o_.max_admitted_bytes,
                         " bytes, not ", o_.max_admitted_batch_bytes, "; 0 = half"));
    Mistake({"max_receive_bytes", "max_message_bytes"},
            o_.max_receive_bytes > 0 && o_.max_receive_bytes < o_.max_message_bytes,
            absl::StrCat(o_.max_receive_bytes, " bytes cannot hold one message of ",
                         o_.max_message_bytes,
                         "; raise the first, lower the second, or 0 = as much as "
                         "max_admitted_bytes and two messages"));
    Warning({"max_receive_bytes", "max_admitted_bytes", "max_message_bytes"},
            o_.max_receive_bytes >= o_.max_message_bytes &&
                o_.max_receive_bytes < o_.max_admitted_bytes + o_.max_message_bytes,
            absl::StrCat(o_.max_receive_bytes,
                         " bytes hold the requests of admitted calls as well, "
                         "which are cut off when it is full; at least ",
                         o_.max_admitted_bytes + o_.max_message_bytes, " leave room for both"));
    Warning({"max_message_bytes", "max_admitted_bytes"},
            o_.max_message_bytes > o_.max_admitted_bytes,
            absl::StrCat("a message of ", o_.max_message_bytes,
                         " bytes is read and then never fits the ", o_.max_admitted_bytes,
                         " bytes of admitted calls; lower the first"));
    Mistake({"max_connection_age_ms"},
            o_.max_connection_age_ms > 0 && o_.max_connection_age_ms < kLeastConnectionAgeMs,
            absl::StrCat(o_.max_connection_age_ms,
                         " ms end connections before they are of use, allowed: 0 (never) or ",
                         kLeastConnectionAgeMs, " and more"));
    Warning({"batch_delay_us", "max_batch_calls"}, o_.batch_delay_us > 0 && o_.max_batch_calls == 1,
            "calls wait for company that they may not have; set max_batch_calls above 1");
  }

  void Admin() {
    const bool token = !o_.admin_token_file.empty();
    const bool wide_socket = unix_ && !IsOwnersAlone(o_.unix_mode);
    Warning({"admin", "admin_token_file", "listen"},
            o_.admin == "all" && !token && o_.tls_client_ca.empty() && (network_ || wide_socket),
            "whoever reaches a listener may steer every call; set admin_token_file or "
            "tls_client_ca, or admin: local");
    Warning({"admin_token_file", "admin"}, token && o_.admin == "off",
            "no listener answers admin calls, so that the token opens nothing");
    Warning({"unix_mode", "admin_token_file"}, o_.admin == "local" && wide_socket && !token,
            "a socket open to others answers no admin calls without a token");
    Warning({"admin_token_file", "tls_certificate", "listen"},
            token && o_.admin != "off" && network_ && o_.tls_certificate.empty(),
            "the token crosses the network in clear text; set tls_certificate and tls_key");
  }

  bool ListensTwice() const {
    return !absl::EndsWith(o_.metrics_listen, ":0") &&
           std::find(o_.listen.begin(), o_.listen.end(), o_.metrics_listen) != o_.listen.end();
  }

  void Mistake(Keys keys, bool found, absl::string_view what) {
    if (found && Judged(keys)) findings_.mistakes.push_back(Text(keys, what));
  }
  void Warning(Keys keys, bool found, absl::string_view what) {
    if (found && Judged(keys)) findings_.warnings.push_back(Text(keys, what));
  }

  bool Judged(Keys keys) const {
    return std::none_of(keys.begin(), keys.end(),
                        [this](absl::string_view key) { return broken_.contains(key); });
  }

  // `tls_certificate (server.yaml:3), tls_key (default): a certificate needs its key`.
  std::string Text(Keys keys, absl::string_view what) const {
    const std::string names =
        absl::StrJoin(keys, ", ", [this](std::string* out, absl::string_view key) {
          absl::StrAppend(out, key, " (", config_.OriginOf(key), ")");
        });
    return absl::StrCat(names, ": ", what);
  }

  const ServerConfig& config_;
  const ServerOptions& o_;
  const std::set<std::string, std::less<>>& broken_;
  bool unix_ = false;
  bool tcp_ = false;
  bool network_ = false;  // TCP beyond this machine.
  CombinationFindings findings_;
};

}  // namespace

CombinationFindings CheckCombinations(const ServerConfig& config,
                                      const std::set<std::string, std::less<>>& broken) {
  return Checks(config, broken).Run();
}

}  // namespace attn
