// A strict reader of a JSON object: every key is known, every value of its type and in range.
#ifndef ATTN_CLIENT_LOAD_OBJECT_READER_H_
#define ATTN_CLIENT_LOAD_OBJECT_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attn::load {

// Read leaves its target alone, and returns false, where the key is absent or the value wrong. The
// first error is kept until Finish. Borrows the object.
class ObjectReader {
 public:
  // `where` begins every error: `mix.json: entries[2].mask`.
  ObjectReader(const nlohmann::json& object, std::string where);

  bool Read(const char* key, bool* to);
  bool Read(const char* key, std::string* to);
  // Finite.
  bool Read(const char* key, double* to);
  bool Read(const char* key, int64_t min, int64_t* to);
  bool Read(const char* key, int64_t min, std::vector<int64_t>* to);
  bool Read(const char* key, std::vector<std::string>* to);
  // A string among `names`; `to` becomes its place.
  bool Read(const char* key, const std::vector<std::string>& names, size_t* to);

  // nullptr where absent. The key counts as known.
  const nlohmann::json* Find(const char* key);
  std::string PathOf(absl::string_view key) const;

  // `PATH: VALUE; allowed: ALLOWED`, unless an earlier error is kept.
  void Refuse(absl::string_view key, absl::string_view allowed);
  void Refuse(absl::Status status);

  // The first error, or that a key is unknown (with the nearest known one).
  absl::Status Finish() const;

 private:
  const nlohmann::json* object_;
  const std::string where_;
  std::vector<std::string> known_;
  absl::Status status_;
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_OBJECT_READER_H_
