// JSON that people read: keys in the order of insertion, what is as it is by default left out.
#ifndef ATTN_CLIENT_LOAD_ORDERED_JSON_H_
#define ATTN_CLIENT_LOAD_ORDERED_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace attn::load {

using OrderedJson = nlohmann::ordered_json;

template <typename Repeated>
void PutList(const char* key, const Repeated& values, OrderedJson* to) {
  if (values.empty()) return;
  (*to)[key] = std::vector<typename Repeated::value_type>(values.begin(), values.end());
}

inline void PutText(const char* key, const std::string& text, OrderedJson* to) {
  if (!text.empty()) (*to)[key] = text;
}

inline void PutTrue(const char* key, bool value, OrderedJson* to) {
  if (value) (*to)[key] = true;
}

inline void PutNumber(const char* key, int64_t number, OrderedJson* to) {
  if (number != 0) (*to)[key] = number;
}

inline void PutObject(const char* key, const OrderedJson& object, OrderedJson* to) {
  if (!object.empty()) (*to)[key] = object;
}

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_ORDERED_JSON_H_
