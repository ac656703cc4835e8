#include "server/services/tls_credentials.h"

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// Tells one content of a file from the next; all zero where there is none. Follows links: a
// Kubernetes secret is replaced by moving one.
using FileStamp = std::array<int64_t, 5>;
using FileStamps = std::array<FileStamp, 3>;

FileStamp StampOf(const std::string& path) {
  struct stat status {};
  if (path.empty() || stat(path.c_str(), &status) != 0) return {};
  return {static_cast<int64_t>(status.st_dev), static_cast<int64_t>(status.st_ino), status.st_size,
          status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

FileStamps StampsOf(const TlsFiles& files) {
  return {StampOf(files.certificate), StampOf(files.key), StampOf(files.client_ca)};
}

using CertificateConfig = grpc_ssl_server_certificate_config;

// Never null. gRPC insists on authorities; where no client is asked for a certificate, any will do.
absl::StatusOr<CertificateConfig*> ToConfig(const TlsMaterial& material) {
  const grpc_ssl_pem_key_cert_pair pair{material.key.c_str(), material.certificate.c_str()};
  const std::string& authorities =
      material.client_ca.empty() ? material.certificate : material.client_ca;
  CertificateConfig* config =
      grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
  if (config == nullptr) return absl::InternalError("gRPC makes no configuration of the TLS files");
  return config;
}

// gRPC asks for the certificate when the listener is made and before every handshake.
class TlsServerCredentials final : public grpc::ServerCredentials {
 public:
  TlsServerCredentials(const TlsFiles& files, const FileStamps& stamps, TlsMaterial material,
                       std::function<void(const absl::Status&)> reloaded)
      : files_(files),
        reloaded_(std::move(reloaded)),
        stamps_(stamps),
        material_(std::move(material)),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                files.client_ca.empty()
                    ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                    : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
                &Fetch, this))) {}
  ~TlsServerCredentials() override { grpc_server_credentials_release(credentials_); }

  // Part of gRPC's interface that nobody uses here.
  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {
    std::abort();
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  static grpc_ssl_certificate_config_reload_status Fetch(void* self, CertificateConfig** config) {
    return static_cast<TlsServerCredentials*>(self)->FetchConfig(config);
  }

  grpc_ssl_certificate_config_reload_status FetchConfig(CertificateConfig** config)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::StatusOr<CertificateConfig*> fetched = nullptr;
    bool first = false;
    {
      absl::MutexLock lock(&mutex_);
      first = !std::exchange(given_, true);
      fetched = first ? ToConfig(std::exchange(material_, {})) : ReadIfChanged();
    }
    if (fetched.ok() && *fetched == nullptr) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    if (!first && reloaded_ != nullptr) reloaded_(fetched.status());
    if (!fetched.ok()) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    *config = *fetched;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  // Null if nothing has changed. Under the lock, so that what was read last is given last.
  absl::StatusOr<CertificateConfig*> ReadIfChanged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const FileStamps now = StampsOf(files_);
    if (now == stamps_) return nullptr;
    stamps_ = now;  // Bad files are not read again either until they change.
    ATTN_ASSIGN_OR_RETURN(const TlsMaterial material, ReadTlsFiles(files_));
    return ToConfig(material);
  }

  const TlsFiles files_;
  const std::function<void(const absl::Status&)> reloaded_;
  absl::Mutex mutex_;
  FileStamps stamps_ ABSL_GUARDED_BY(mutex_);     // Taken before the files were read.
  TlsMaterial material_ ABSL_GUARDED_BY(mutex_);  // Until it is given.
  bool given_ ABSL_GUARDED_BY(mutex_) = false;
  grpc_server_credentials* const credentials_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> CreateTlsCredentials(
    const TlsFiles& files, std::function<void(const absl::Status&)> reloaded) {
  const FileStamps stamps = StampsOf(files);
  ATTN_ASSIGN_OR_RETURN(TlsMaterial material, ReadTlsFiles(files));
  return std::make_shared<TlsServerCredentials>(files, stamps, std::move(material),
                                                std::move(reloaded));
}

}  // namespace attn
