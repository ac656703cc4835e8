#include "server/transport/mask_json.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "kernels/core/limits.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "nlohmann/json.hpp"

namespace attn {
namespace {

namespace v1 = attention::v1;
using OrderedJson = nlohmann::ordered_json;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The JSON form has no list of fields of its own: what attention.proto's messages have, it has.

// An operator is an object, and may hold a list.
constexpr int kMaxBrackets = 2 * kMaxMaskDepth;

// and, or, not are words of C++ and Python, which the proto avoids.
std::string OpName(const FieldDescriptor* op) {
  if (op->name() == "all_of") return "and";
  if (op->name() == "any_of") return "or";
  return op->name() == "negation" ? "not" : op->name();
}

// `negation` is its own argument.
std::string KeyOf(const FieldDescriptor* field) {
  return field->containing_type() == v1::MaskExpression::descriptor() ? "arg" : field->name();
}

// The operator whose name that is; null, and all names, if there is none.
const FieldDescriptor* FindOp(const std::string& name, std::vector<std::string>* known) {
  const google::protobuf::Descriptor* node = v1::MaskExpression::descriptor();
  for (int i = 0; i < node->field_count(); ++i) {
    known->push_back(OpName(node->field(i)));
    if (known->back() == name) return node->field(i);
  }
  return nullptr;
}

bool IsOptional(const FieldDescriptor* arg) {
  return arg->containing_type() == v1::MaskExpression::Blocks::descriptor();
}

// The message that holds an operator's fields, and those fields.
struct Operands {
  Message* holder = nullptr;
  std::vector<const FieldDescriptor*> fields;
};

Operands OperandsOf(v1::MaskExpression* node, const FieldDescriptor* op) {
  if (op->message_type() == node->GetDescriptor()) return {node, {op}};
  Operands operands{node->GetReflection()->MutableMessage(node, op), {}};
  for (int i = 0; i < op->message_type()->field_count(); ++i) {
    operands.fields.push_back(op->message_type()->field(i));
  }
  return operands;
}

absl::Status ReadNode(const OrderedJson& json, const std::string& path, v1::MaskExpression* node);

absl::Status ReadInteger(const OrderedJson& json, const std::string& path, int64_t* to) {
  const bool fits =
      !json.is_number_unsigned() ||
      json.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!json.is_number_integer() || !fits) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", Quoted(json.dump()), " is no integer of 64 bits with a sign"));
  }
  *to = json.get<int64_t>();
  return absl::OkStatus();
}

// One value of the field: what it holds, or an element of its list.
absl::Status ReadValue(const OrderedJson& json, const std::string& path, Message* holder,
                       const FieldDescriptor* field) {
  const google::protobuf::Reflection* set = holder->GetReflection();
  const bool list = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      Message* arg = list ? set->AddMessage(holder, field) : set->MutableMessage(holder, field);
      return ReadNode(json, path, static_cast<v1::MaskExpression*>(arg));
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t value = 0;
      ATTN_RETURN_IF_ERROR(ReadInteger(json, path, &value));
      set->SetInt64(holder, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (!json.is_number()) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": ", Quoted(json.dump()), " is no number"));
      }
      set->AddDouble(holder, field, json.get<double>());
      return absl::OkStatus();
    default:
      if (!json.is_string()) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ": ", Quoted(json.dump()), " is no text, as names are"));
      }
      if (list) {
        set->AddString(holder, field, json.get<std::string>());
      } else {
        set->SetString(holder, field, json.get<std::string>());
      }
      return absl::OkStatus();
  }
}

// `path` is the operator's: that of an argument goes on from it, without the key.
absl::Status ReadField(const OrderedJson& json, const std::string& path, Message* holder,
                       const FieldDescriptor* field) {
  const bool nests = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  const std::string here = nests ? path : absl::StrCat(path, ".", field->name());
  if (!field->is_repeated()) return ReadValue(json, here, holder, field);
  if (!json.is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ".", field->name(), ": a list [...] is needed"));
  }
  for (size_t i = 0; i < json.size(); ++i) {
    ATTN_RETURN_IF_ERROR(ReadValue(json[i], absl::StrCat(here, "[", i, "]"), holder, field));
  }
  return absl::OkStatus();
}

absl::Status ReadNode(const OrderedJson& json, const std::string& path, v1::MaskExpression* node) {
  const auto name = json.find("op");
  if (!json.is_object() || name == json.end() || !name->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": an object with \"op\": \"name\" is needed"));
  }
  std::vector<std::string> known;
  const FieldDescriptor* op = FindOp(name->get<std::string>(), &known);
  if (op == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", UnknownNameMessage("operator", name->get<std::string>(), known)));
  }
  const std::string here = absl::StrCat(path, ".", OpName(op));
  const Operands operands = OperandsOf(node, op);
  std::vector<std::string> keys = {"op"};
  for (const FieldDescriptor* field : operands.fields) {
    keys.push_back(KeyOf(field));
    const auto value = json.find(keys.back());
    if (value != json.end()) {
      ATTN_RETURN_IF_ERROR(ReadField(*value, here, operands.holder, field));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !IsOptional(field)) {
      return absl::InvalidArgumentError(absl::StrCat(here, ": ", keys.back(), " is missing"));
    }
  }
  for (const auto& item : json.items()) {
    if (std::find(keys.begin(), keys.end(), item.key()) == keys.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(here, ": ", UnknownNameMessage("key", item.key(), keys)));
    }
  }
  return absl::OkStatus();
}

// What nlohmann's parser, which does not recurse, would let pass: brackets too deep to be walked,
// and keys that stand twice.
class JsonCheck {
 public:
  // Whether what it stands before is kept.
  bool Pass(int depth, OrderedJson::parse_event_t event, const OrderedJson& parsed) {
    using Event = OrderedJson::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= kMaxBrackets) {
      error_ = absl::StrCat("nests deeper than ", kMaxMaskDepth);
    }
    if (!error_.empty()) return false;
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(parsed.get<std::string>()).second) {
      error_ = absl::StrCat("key ", Quoted(parsed.get<std::string>()), " stands twice");
    }
    return error_.empty();
  }

  const std::string& error() const { return error_; }

 private:
  std::vector<std::set<std::string>> keys_;  // Of each open object.
  std::string error_;
};

absl::StatusOr<OrderedJson> ReadJson(absl::string_view text) {
  JsonCheck check;
  const auto pass = [&check](int depth, OrderedJson::parse_event_t event,
                             const OrderedJson& parsed) {
    return check.Pass(depth, event, parsed);
  };
  try {
    OrderedJson json = OrderedJson::parse(text.begin(), text.end(), pass);
    if (!check.error().empty())
      return absl::InvalidArgumentError(absl::StrCat("mask: ", check.error()));
    return json;
  } catch (const OrderedJson::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat("mask: not JSON at byte ", error.byte));
  } catch (const OrderedJson::exception& /*error*/) {
    return absl::InvalidArgumentError("mask: a number exceeds a double");
  }
}

OrderedJson ToJson(const v1::MaskExpression& node);

OrderedJson ValueToJson(const Message& holder, const FieldDescriptor* field, int index) {
  const google::protobuf::Reflection* get = holder.GetReflection();
  const bool list = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(static_cast<const v1::MaskExpression&>(
          list ? get->GetRepeatedMessage(holder, field, index) : get->GetMessage(holder, field)));
    case FieldDescriptor::CPPTYPE_INT64:
      return get->GetInt64(holder, field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return get->GetRepeatedDouble(holder, field, index);
    default:
      return list ? get->GetRepeatedString(holder, field, index) : get->GetString(holder, field);
  }
}

OrderedJson ToJson(const v1::MaskExpression& node) {
  OrderedJson json = OrderedJson::object();
  const FieldDescriptor* op =
      node.GetReflection()->GetOneofFieldDescriptor(node, node.GetDescriptor()->oneof_decl(0));
  if (op == nullptr) return json;
  json["op"] = OpName(op);
  const Message& holder = op->message_type() == node.GetDescriptor()
                              ? node
                              : node.GetReflection()->GetMessage(node, op);
  std::vector<const FieldDescriptor*> fields;
  holder.GetReflection()->ListFields(holder, &fields);
  for (const FieldDescriptor* field : fields) {
    OrderedJson& value = json[KeyOf(field)];
    if (!field->is_repeated()) {
      value = ValueToJson(holder, field, 0);
      continue;
    }
    for (int i = 0; i < holder.GetReflection()->FieldSize(holder, field); ++i) {
      value.push_back(ValueToJson(holder, field, i));
    }
  }
  return json;
}

}  // namespace

absl::StatusOr<v1::MaskExpression> ParseMaskJson(absl::string_view text) {
  ATTN_ASSIGN_OR_RETURN(const OrderedJson json, ReadJson(text));
  v1::MaskExpression expression;
  ATTN_RETURN_IF_ERROR(ReadNode(json, "mask", &expression));
  return expression;
}

std::string MaskJson(const v1::MaskExpression& expression) {
  return ToJson(expression).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace attn
