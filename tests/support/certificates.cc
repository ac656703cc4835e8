#include "tests/support/certificates.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace attn {
namespace {

using Key = std::shared_ptr<EVP_PKEY>;
using Certificate = std::shared_ptr<X509>;

void Check(bool done) {
  if (!done) std::abort();
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

std::string ToPem(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  Check(PEM_write_bio_X509(bio, certificate) == 1);
  return TextOf(bio);
}

std::string ToPem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  Check(PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return TextOf(bio);
}

void AddExtension(X509* certificate, X509* issuer, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
  Check(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Key NewKey() { return Key(EVP_EC_gen("P-256"), EVP_PKEY_free); }

// Valid from two hours ago; unsigned.
Certificate NewCertificate(const std::string& common_name, EVP_PKEY* key, absl::Duration life) {
  static std::atomic<int> serial = 1;
  Certificate certificate(X509_new(), X509_free);
  Check(certificate != nullptr && X509_set_version(certificate.get(), 2) == 1);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial.fetch_add(1));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()),
                  static_cast<long>(absl::ToInt64Seconds(life)));
  Check(X509_set_pubkey(certificate.get(), key) == 1);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return certificate;
}

}  // namespace

struct TestAuthority::Identity {
  Key key = NewKey();
  Certificate certificate = NewCertificate(NextName(), key.get(), absl::Hours(1));

  // Two authorities of one name would be taken for each other until the signature fails.
  static std::string NextName() {
    static std::atomic<int> count = 0;
    return "authority " + std::to_string(count.fetch_add(1));
  }
};

TestAuthority::TestAuthority() : identity_(std::make_unique<Identity>()) {
  X509* own = identity_->certificate.get();
  X509_set_issuer_name(own, X509_get_subject_name(own));
  AddExtension(own, own, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(own, own, NID_subject_key_identifier, "hash");
  Check(X509_sign(own, identity_->key.get(), EVP_sha256()) != 0);
  certificate_ = ToPem(own);
}

TestAuthority::~TestAuthority() = default;

IssuedCertificate TestAuthority::Issue(const std::string& common_name, absl::Duration life) const {
  const Key key = NewKey();
  const Certificate certificate = NewCertificate(common_name, key.get(), life);
  X509* issuer = identity_->certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer));
  AddExtension(certificate.get(), issuer, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  Check(X509_sign(certificate.get(), identity_->key.get(), EVP_sha256()) != 0);
  return {ToPem(certificate.get()), ToPem(key.get())};
}

void WriteFileAtomically(const std::string& path, const std::string& text) {
  const std::string next = path + ".next";
  std::ofstream(next, std::ios::binary) << text;
  Check(std::rename(next.c_str(), path.c_str()) == 0);
}

}  // namespace attn
