#include "client/load/object_reader.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/nearest_name.h"

namespace attn::load {
namespace {

using JsonValue = nlohmann::json;

bool ToInteger(const JsonValue& value, int64_t min, int64_t* to) {
  if (!value.is_number_integer()) return false;
  // An unsigned one may lie beyond int64.
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return false;
  *to = value.get<int64_t>();
  return *to >= min;
}

std::string AtLeast(int64_t min) {
  return min == INT64_MIN ? "" : absl::StrCat(" of at least ", min);
}

}  // namespace

ObjectReader::ObjectReader(const JsonValue& object, std::string where)
    : object_(&object), where_(std::move(where)) {
  if (!object.is_object()) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat(where_, ": ", object.type_name(), "; allowed: an object"));
  }
}

std::string ObjectReader::PathOf(absl::string_view key) const {
  const bool in_root = where_.find(": ") == std::string::npos;
  return absl::StrCat(where_, in_root ? ": " : ".", key);
}

const JsonValue* ObjectReader::Find(const char* key) {
  known_.push_back(key);
  if (!object_->is_object()) return nullptr;
  const auto found = object_->find(key);
  return found == object_->end() ? nullptr : &*found;
}

void ObjectReader::Refuse(absl::string_view key, absl::string_view allowed) {
  const JsonValue& value = (*object_)[std::string(key)];
  const std::string text = value.is_string()
                               ? value.get<std::string>()
                               : value.dump(-1, ' ', false, JsonValue::error_handler_t::replace);
  Refuse(absl::InvalidArgumentError(
      absl::StrCat(PathOf(key), ": ", Quoted(text), "; allowed: ", allowed)));
}

void ObjectReader::Refuse(absl::Status status) { status_.Update(status); }

bool ObjectReader::Read(const char* key, bool* to) {
  const JsonValue* value = Find(key);
  if (value == nullptr) return false;
  if (value->is_boolean()) {
    *to = value->get<bool>();
    return true;
  }
  Refuse(key, "true, false");
  return false;
}

bool ObjectReader::Read(const char* key, std::string* to) {
  const JsonValue* value = Find(key);
  if (value == nullptr) return false;
  if (value->is_string()) {
    *to = value->get<std::string>();
    return true;
  }
  Refuse(key, "a string");
  return false;
}

bool ObjectReader::Read(const char* key, double* to) {
  const JsonValue* value = Find(key);
  if (value == nullptr) return false;
  if (value->is_number() && std::isfinite(value->get<double>())) {
    *to = value->get<double>();
    return true;
  }
  Refuse(key, "a number");
  return false;
}

bool ObjectReader::Read(const char* key, int64_t min, int64_t* to) {
  const JsonValue* value = Find(key);
  if (value == nullptr) return false;
  int64_t number = 0;
  if (ToInteger(*value, min, &number)) {
    *to = number;
    return true;
  }
  Refuse(key, absl::StrCat("an integer", AtLeast(min)));
  return false;
}

bool ObjectReader::Read(const char* key, int64_t min, std::vector<int64_t>* to) {
  const JsonValue* value = Find(key);
  if (value == nullptr) return false;
  std::vector<int64_t> numbers(value->is_array() ? value->size() : 0);
  bool good = value->is_array();
  for (size_t i = 0; good && i < numbers.size(); ++i)
    good = ToInteger((*value)[i], min, &numbers[i]);
  if (good) {
    *to = std::move(numbers);
  } else {
    Refuse(key, absl::StrCat("a list of integers", AtLeast(min), ", as in [1, 8, 128, 64]"));
  }
  return good;
}

bool ObjectReader::Read(const char* key, std::vector<std::string>* to) {
  const JsonValue* value = Find(key);
  if (value == nullptr) return false;
  const bool good =
      value->is_array() &&
      std::all_of(value->begin(), value->end(), [](const JsonValue& e) { return e.is_string(); });
  if (good) {
    *to = value->get<std::vector<std::string>>();
  } else {
    Refuse(key, "a list of strings");
  }
  return good;
}

bool ObjectReader::Read(const char* key, const std::vector<std::string>& names, size_t* to) {
  const JsonValue* value = Find(key);
  if (value == nullptr) return false;
  const auto found = value->is_string()
                         ? std::find(names.begin(), names.end(), value->get<std::string>())
                         : names.end();
  if (found != names.end()) {
    *to = static_cast<size_t>(found - names.begin());
    return true;
  }
  Refuse(key, absl::StrJoin(names, ", "));
  return false;
}

absl::Status ObjectReader::Finish() const {
  if (!status_.ok()) return status_;
  for (const auto& [key, value] : object_->items()) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where_, ": ", UnknownNameMessage("key", key, known_)));
    }
  }
  return absl::OkStatus();
}

}  // namespace attn::load
