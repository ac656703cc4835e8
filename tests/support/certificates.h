// Certificates made for a test: EC keys, valid for an hour unless a test asks for other dates.
#ifndef ATTN_TESTS_SUPPORT_CERTIFICATES_H_
#define ATTN_TESTS_SUPPORT_CERTIFICATES_H_

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace attn {

// PEM text.
struct IssuedCertificate {
  std::string certificate;
  std::string key;
};

class TestAuthority {
 public:
  TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;
  ~TestAuthority();

  const std::string& certificate() const { return certificate_; }  // PEM

  // For `localhost` and 127.0.0.1, good until `life` from now.
  IssuedCertificate Issue(const std::string& common_name,
                          absl::Duration life = absl::Hours(1)) const;

 private:
  struct Identity;
  const std::unique_ptr<Identity> identity_;
  std::string certificate_;
};

// Replaces the file at once, as rotation does: a reader sees the old content or the new.
void WriteFileAtomically(const std::string& path, const std::string& text);

}  // namespace attn

#endif  // ATTN_TESTS_SUPPORT_CERTIFICATES_H_
