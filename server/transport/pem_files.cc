#include "server/transport/pem_files.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// A chain has a few KiB, a bundle of every public authority a quarter of this.
constexpr off_t kMaxPemBytes = 1 << 20;

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

absl::Status Refuse(const PemFile& file, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat(file.setting, ": ", Quoted(file.path), " ", why));
}

absl::StatusOr<std::string> ReadText(const PemFile& file) {
  const auto cannot = [&file] {
    return Refuse(file, absl::StrCat("cannot be read: ", std::strerror(errno),
                                     "; name a PEM file that this process may read"));
  };
  const int fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return cannot();
  const auto closer = std::unique_ptr<const int, void (*)(const int*)>(
      &fd, [](const int* open_fd) { close(*open_fd); });
  struct stat status {};
  if (fstat(fd, &status) != 0) return cannot();
  if (!S_ISREG(status.st_mode)) return Refuse(file, "is not a file; name a PEM file");
  if (status.st_size > kMaxPemBytes) {
    return Refuse(file, absl::StrCat("has ", status.st_size, " bytes, at most ", kMaxPemBytes,
                                     " are read; name a PEM file"));
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t count = read(fd, text.data() + filled, text.size() - filled);
    if (count < 0) return cannot();
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  text.resize(filled);
  return text;
}

Bio Open(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A passphrase would be asked for on the terminal.
int NoPassphrase(char* /*to*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::StatusOr<std::vector<Certificate>> ParseCertificates(const PemFile& file,
                                                           const std::string& text) {
  std::vector<Certificate> certificates;
  const Bio bio = Open(text);
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(one);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!certificates.empty() && at_end) return certificates;
  return Refuse(file, certificates.empty()
                          ? "holds no PEM certificate (-----BEGIN CERTIFICATE-----)"
                          : absl::StrCat("is damaged after certificate ", certificates.size()));
}

absl::StatusOr<PrivateKey> ParsePrivateKey(const PemFile& file, const std::string& text) {
  bool passphrase_asked = false;
  PrivateKey key(
      PEM_read_bio_PrivateKey(Open(text).get(), nullptr, NoPassphrase, &passphrase_asked));
  ERR_clear_error();
  if (key != nullptr) return key;
  if (passphrase_asked) {
    return Refuse(file, "is encrypted; there is nobody to ask: decrypt it (openssl pkey)");
  }
  return Refuse(file, "holds no PEM private key (-----BEGIN PRIVATE KEY-----)");
}

std::string TimeText(const ASN1_TIME* time) {
  const Bio bio(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(bio.get(), time);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

absl::Status CheckDates(const PemFile& file, const X509& certificate) {
  const ASN1_TIME* begin = X509_get0_notBefore(&certificate);
  const ASN1_TIME* end = X509_get0_notAfter(&certificate);
  if (X509_cmp_current_time(end) < 0) {
    return Refuse(file, absl::StrCat("expired on ", TimeText(end), "; have a new one issued"));
  }
  if (X509_cmp_current_time(begin) > 0) {
    return Refuse(file, absl::StrCat("is valid only from ", TimeText(begin),
                                     " on; check the clock of this machine"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadAuthorities(const PemFile& file) {
  ATTN_ASSIGN_OR_RETURN(std::string text, ReadText(file));
  ATTN_ASSIGN_OR_RETURN(const std::vector<Certificate> authorities, ParseCertificates(file, text));
  absl::Status dates;
  for (const Certificate& authority : authorities) {
    dates = CheckDates(file, *authority);
    if (dates.ok()) return text;  // Of several, old ones stay beside their successors.
  }
  return dates;
}

absl::StatusOr<std::string> ReadChain(const PemFile& file) {
  ATTN_ASSIGN_OR_RETURN(std::string text, ReadText(file));
  ATTN_ASSIGN_OR_RETURN(const std::vector<Certificate> chain, ParseCertificates(file, text));
  ATTN_RETURN_IF_ERROR(CheckDates(file, *chain[0]));
  return text;
}

absl::StatusOr<std::string> ReadKey(const PemFile& file) {
  ATTN_ASSIGN_OR_RETURN(std::string text, ReadText(file));
  ATTN_RETURN_IF_ERROR(ParsePrivateKey(file, text).status());
  return text;
}

absl::StatusOr<PemKeyPair> ReadKeyPair(const PemFile& certificate, const PemFile& key) {
  absl::StatusOr<std::string> chain_text = ReadChain(certificate);
  absl::StatusOr<std::string> key_text = ReadKey(key);
  if (!chain_text.ok() && !key_text.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(chain_text.status().message(), "\n", key_text.status().message()));
  }
  ATTN_RETURN_IF_ERROR(chain_text.status());
  ATTN_RETURN_IF_ERROR(key_text.status());
  ATTN_ASSIGN_OR_RETURN(const std::vector<Certificate> chain,
                        ParseCertificates(certificate, *chain_text));
  ATTN_ASSIGN_OR_RETURN(const PrivateKey private_key, ParsePrivateKey(key, *key_text));
  const bool match = X509_check_private_key(chain[0].get(), private_key.get()) == 1;
  ERR_clear_error();
  if (!match) {
    return Refuse(
        key, absl::StrCat("is not the key of the first certificate in ", Quoted(certificate.path),
                          " (", certificate.setting, "); name the key that it was issued for"));
  }
  return PemKeyPair{*std::move(chain_text), *std::move(key_text)};
}

}  // namespace attn
