// What a plug-in declares: taken over as it stands, or refused with the member that is wrong.
#include "tests/kernels/plugins/plugin_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/plugins/plugin_backend.h"
#include "kernels/plugins/plugin_mask_function.h"
#include "kernels/plugins/plugin_table.h"

namespace attn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Backend>> Create(const attn_backend& table) {
  return CreatePluginBackend(&table, "probe.so", nullptr);
}

TEST(PluginBackendTable, IsTakenOverAsItStands) {
  const attn_backend table = GoodBackend();
  const auto backend = Create(table);
  ASSERT_TRUE(backend.ok()) << backend.status();
  const BackendInfo& info = (*backend)->info();
  EXPECT_EQ(info.name, "probe");
  EXPECT_EQ(info.origin, "probe.so");
  EXPECT_EQ(info.description, "Writes zeros.");
  EXPECT_EQ(info.device, "cpu");
  EXPECT_EQ(info.method, "nothing");
  EXPECT_EQ(info.engine, "plugin");
  EXPECT_FALSE(info.exact);
  EXPECT_EQ(info.cost_rank, 50);
  EXPECT_THAT(info.capabilities.features, ElementsAre(Feature::kCausal, Feature::kLse));
  EXPECT_THAT(info.capabilities.dtypes, ElementsAre(DType::kFloat32, DType::kBFloat16));
  EXPECT_EQ(info.capabilities.min_head_dim, 8);
  EXPECT_EQ(info.capabilities.max_head_dim, 128);
  ASSERT_EQ(info.options.size(), 5u);
  EXPECT_STREQ(info.options[2].name, "ratio");
  EXPECT_EQ(info.options[2].type, OptionType::kFloat);
  EXPECT_STREQ(info.options[2].default_json, "0.5");
  EXPECT_STREQ(info.options[2].allowed, "at most 1");
  EXPECT_STREQ(info.options[1].default_json, "");  // Null: none.
}

TEST(PluginBackendTable, ListedHeadSizesAreTheOnlyOnes) {
  constexpr int64_t kDims[] = {64, 128};
  attn_backend table = GoodBackend();
  table.head_dims = kDims;
  table.head_dim_count = 2;
  const auto backend = Create(table);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_THAT((*backend)->info().capabilities.head_dims, ElementsAre(64, 128));
}

struct BrokenTable {
  std::string name;
  std::function<void(attn_backend*)> damage;
  std::string message;
};

// Static, as the tables of a plug-in are.
constexpr const char* kUnknownFeature[] = {"causal", "telepathy"};
constexpr const char* kStageFeature[] = {"rotary"};
constexpr const char* kPlanFeature[] = {"plan"};
constexpr const char* kTwiceFeature[] = {"causal", "causal"};
constexpr const char* kNullFeature[] = {nullptr};
constexpr attn_dtype kIntDType[] = {ATTN_INT32};
constexpr attn_dtype kTwiceDType[] = {ATTN_FP16, ATTN_FP16};
constexpr int64_t kLargeDim[] = {512};
const std::string kLongName(65, 'x');
const std::string kLongText(513, 'x');

std::vector<BrokenTable> BrokenTables() {
  using T = attn_backend*;
  return {
      {"size_never_set", [](T t) { t->struct_size = 0; }, "table.struct_size is 0, allowed: "},
      {"size_of_something_else", [](T t) { t->struct_size = 1 << 20; },
       "table.struct_size is 1048576"},
      {"name_null", [](T t) { t->name = nullptr; }, "name is null"},
      {"name_empty", [](T t) { t->name = ""; }, "name is '', allowed: 1 to 64"},
      {"name_upper_case", [](T t) { t->name = "Probe"; }, "name is 'Probe', allowed"},
      {"name_digit_first", [](T t) { t->name = "2fast"; }, "name is '2fast'"},
      {"name_dash", [](T t) { t->name = "a-b"; }, "name is 'a-b'"},
      {"name_long", [](T t) { t->name = kLongName.c_str(); }, "allowed: 1 to 64 of a-z"},
      {"description_null", [](T t) { t->description = nullptr; }, "description is null"},
      {"description_empty", [](T t) { t->description = ""; }, "description has 0 bytes"},
      {"description_long", [](T t) { t->description = kLongText.c_str(); },
       "description has more than 512 bytes"},
      {"description_of_two_lines", [](T t) { t->description = "a\nb"; },
       "description has byte 10 at 1, allowed: printable ASCII"},
      {"method_null", [](T t) { t->method = nullptr; }, "method is null"},
      {"precision_odd", [](T t) { t->precision = "32 bit"; }, "precision is '32 bit'"},
      {"feature_unknown",
       [](T t) {
         t->features = kUnknownFeature;
         t->feature_count = 2;
       },
       "features[1] is 'telepathy', allowed: causal, window, lengths, packed, expression, gqa, "
       "scale, softcap, bias, alibi, sinks, replicated, lse, weights"},
      {"feature_of_the_server",
       [](T t) {
         t->features = kStageFeature;
         t->feature_count = 1;
       },
       "features[0] is 'rotary', which is the server's own work"},
      {"feature_plan",
       [](T t) {
         t->features = kPlanFeature;
         t->feature_count = 1;
       },
       "features[0] is 'plan'"},
      {"feature_twice", [](T t) { t->features = kTwiceFeature; },
       "features[1] is 'causal' once more"},
      {"feature_null",
       [](T t) {
         t->features = kNullFeature;
         t->feature_count = 1;
       },
       "features[0] is null"},
      {"features_null", [](T t) { t->features = nullptr; }, "features is null"},
      {"features_count_never_set", [](T t) { t->feature_count = SIZE_MAX; },
       "entries, allowed: up to 256"},
      {"dtypes_none", [](T t) { t->dtype_count = 0; }, "dtypes is empty"},
      {"dtype_integer",
       [](T t) {
         t->dtypes = kIntDType;
         t->dtype_count = 1;
       },
       "dtypes[0] is 3, allowed: ATTN_FP32"},
      {"dtype_twice", [](T t) { t->dtypes = kTwiceDType; }, "dtypes[1] is 1 once more"},
      {"head_dim_zero", [](T t) { t->min_head_dim = 0; }, "min_head_dim is 0, allowed: 1 to 256"},
      {"head_dim_large", [](T t) { t->max_head_dim = 257; }, "max_head_dim is 257"},
      {"head_dims_crossed", [](T t) { t->max_head_dim = 4; }, "min_head_dim is 8, above"},
      {"head_dim_listed_large",
       [](T t) {
         t->head_dims = kLargeDim;
         t->head_dim_count = 1;
       },
       "head_dims[0] is 512"},
      {"exact_odd", [](T t) { t->exact = 2; }, "exact is 2, allowed: 0, 1"},
      {"cost_rank_zero", [](T t) { t->cost_rank = 0; }, "cost_rank is 0, allowed: 1 to 1000000"},
      {"prepare_null", [](T t) { t->prepare = nullptr; }, "prepare is null"},
      {"run_tile_null", [](T t) { t->run_tile = nullptr; }, "run_tile is null"},
      {"finish_null", [](T t) { t->finish = nullptr; }, "finish is null"},
      {"options_null", [](T t) { t->options = nullptr; }, "options is null"},
  };
}

TEST(PluginBackendTable, WhatIsWrongIsRefusedByItsName) {
  for (const BrokenTable& broken : BrokenTables()) {
    SCOPED_TRACE(broken.name);
    attn_backend table = GoodBackend();
    broken.damage(&table);
    const absl::Status status = Create(table).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(broken.message));
  }
  EXPECT_THAT(std::string(CreatePluginBackend(nullptr, "x.so", nullptr).status().message()),
              HasSubstr("table is null"));
}

// A later header has more members than this server knows.
struct LaterBackend {
  attn_backend table;
  void* later;
};

TEST(PluginBackendTable, OfALaterHeaderIsTakenIfItAsksForNothingUnknown) {
  LaterBackend later = {GoodBackend(), nullptr};
  later.table.struct_size = sizeof(later);
  EXPECT_TRUE(Create(later.table).ok());
  later.later = &later;
  const absl::Status status = Create(later.table).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("which this server does not know"));
}

// A table that has grown by a member since the first header.
struct GrownTable {
  size_t struct_size;
  int64_t first;
  int64_t later;
};
}  // namespace

template <>
inline constexpr size_t kLeastTableBytes<GrownTable> = offsetof(GrownTable, later);

namespace {

TEST(PluginTable, OfAnEarlierHeaderIsTakenWithZeroForWhatItDoesNotKnow) {
  GrownTable table = {sizeof(table), 1, 2};
  EXPECT_EQ(CopyTable("table", &table).value().later, 2);
  table.struct_size = offsetof(GrownTable, later);
  const GrownTable copy = CopyTable("table", &table).value();
  EXPECT_EQ(copy.first, 1);
  EXPECT_EQ(copy.later, 0);
  table.struct_size -= 1;
  EXPECT_EQ(std::string(CopyTable("table", &table).status().message()),
            "table.struct_size is 15, allowed: 16 to 4096");
}

// Raise them and every plug-in that is in use is refused.
TEST(PluginTable, LeastSizesAreThoseOfTheFirstHeader) {
  EXPECT_EQ(kLeastTableBytes<attn_plugin>, 64u);
  EXPECT_EQ(kLeastTableBytes<attn_backend>, 184u);
  EXPECT_EQ(kLeastTableBytes<attn_mask_function>, 80u);
  EXPECT_EQ(kLeastTableBytes<attn_option>, 64u);
}

struct BrokenOption {
  std::string name;
  std::function<void(attn_option*)> damage;
  std::string message;
};

attn_status RefuseAll(void*, const attn_option_value*, char* error, size_t) {
  error[0] = 'n';
  error[1] = 'o';
  error[2] = '\0';
  return ATTN_INVALID_ARGUMENT;
}

std::vector<BrokenOption> BrokenOptions() {
  using O = attn_option*;
  return {
      {"size", [](O o) { o->struct_size = 3; }, "options[1].struct_size is 3"},
      {"name", [](O o) { o->name = "no name"; }, "options[1].name is 'no name'"},
      {"twice", [](O o) { o->name = "flag"; }, "options[1].name is 'flag', which another"},
      {"type", [](O o) { o->type = 5; }, "options[1].type is 5, allowed: 0 to 4"},
      {"allowed", [](O o) { o->allowed = nullptr; }, "options[1].allowed is null"},
      {"description", [](O o) { o->description = ""; }, "options[1].description has 0 bytes"},
      {"default_of_another_type", [](O o) { o->default_json = "0.5"; },
       "options[1].default_json is '0.5', which is no int in JSON"},
      {"default_bool",
       [](O o) {
         o->type = ATTN_OPTION_BOOL;
         o->default_json = "1";
       },
       "which is no bool in JSON"},
      {"default_float",
       [](O o) {
         o->type = ATTN_OPTION_FLOAT;
         o->default_json = "inf";
       },
       "which is no float in JSON"},
      {"default_string_bare",
       [](O o) {
         o->type = ATTN_OPTION_STRING;
         o->default_json = "text";
       },
       "which is no string in JSON"},
      {"default_tensor",
       [](O o) {
         o->type = ATTN_OPTION_TENSOR;
         o->default_json = "\"t\"";
       },
       "which is no tensor in JSON"},
      {"default_refused_by_its_own_check",
       [](O o) {
         o->default_json = "3";
         o->check = RefuseAll;
       },
       "options[1].default_json is refused by its check: probe: no"},
  };
}

TEST(PluginOptionTable, WhatIsWrongIsRefusedByItsName) {
  for (const BrokenOption& broken : BrokenOptions()) {
    SCOPED_TRACE(broken.name);
    attn_backend table = GoodBackend();
    attn_option option = *table.options[1];
    broken.damage(&option);
    const attn_option* options[] = {table.options[0], &option};
    table.options = options;
    table.option_count = 2;
    const absl::Status status = Create(table).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(broken.message));
  }
}

TEST(PluginMaskFunctionTable, WhatIsWrongIsRefusedByItsName) {
  struct Broken {
    std::function<void(attn_mask_function*)> damage;
    std::string message;
  };
  using T = attn_mask_function*;
  for (const Broken& broken :
       std::vector<Broken>{{[](T t) { t->struct_size = 8; }, "table.struct_size is 8"},
                           {[](T t) { t->name = "Up"; }, "name is 'Up'"},
                           {[](T t) { t->description = nullptr; }, "description is null"},
                           {[](T t) { t->per_head = -1; }, "per_head is -1, allowed: 0, 1"},
                           {[](T t) { t->per_sample = 2; }, "per_sample is 2"},
                           {[](T t) { t->evaluate = nullptr; }, "evaluate is null"}}) {
    attn_mask_function table = GoodMaskFunction();
    broken.damage(&table);
    const absl::Status status = CreatePluginMaskFunction(&table, "probe.so", nullptr).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(broken.message));
  }
}

}  // namespace
}  // namespace attn
