// The contract's forms and modes as flags and workloads write them.
#ifndef ATTN_CLIENT_LOAD_STAGE_NAMES_H_
#define ATTN_CLIENT_LOAD_STAGE_NAMES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/attention/v1/attention.pb.h"

namespace attn::load {

template <typename Value>
struct Word {
  const char* name;
  Value value;
};

inline constexpr Word<attention::v1::Rotary::Form> kRotaryForms[] = {
    {"interleaved", attention::v1::Rotary::INTERLEAVED},
    {"neox", attention::v1::Rotary::NEOX},
    {"full", attention::v1::Rotary::FULL}};
inline constexpr Word<attention::v1::SkipScores::Mode> kSkipModes[] = {
    {"none", attention::v1::SkipScores::NONE},
    {"value", attention::v1::SkipScores::VALUE},
    {"gated_value", attention::v1::SkipScores::GATED_VALUE}};
inline constexpr Word<attention::v1::OutputGate::Form> kGateForms[] = {
    {"linear", attention::v1::OutputGate::LINEAR},
    {"sigmoid", attention::v1::OutputGate::SIGMOID},
    {"twice_sigmoid", attention::v1::OutputGate::TWICE_SIGMOID}};

template <typename Value, size_t size>
std::vector<std::string> NamesOf(const Word<Value> (&words)[size]) {
  std::vector<std::string> names;
  for (const Word<Value>& word : words) names.emplace_back(word.name);
  return names;
}

// nullopt for a name that is none of them.
template <typename Value, size_t size>
std::optional<Value> ValueOf(const Word<Value> (&words)[size], absl::string_view name) {
  for (const Word<Value>& word : words) {
    if (name == word.name) return word.value;
  }
  return std::nullopt;
}

// Empty for a value that is none of them.
template <typename Value, size_t size>
std::string NameOf(const Word<Value> (&words)[size], Value value) {
  for (const Word<Value>& word : words) {
    if (value == word.value) return word.name;
  }
  return "";
}

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_STAGE_NAMES_H_
