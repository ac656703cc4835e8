#include "tests/support/named_masks.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <functional>
#include <random>
#include <utility>

#include "kernels/core/ceil_divide.h"

namespace attn {
namespace {

// The sizes of a mask, and where its tensors go.
struct Canvas {
  MaskSizes sizes;
  MaskTensors& tensors;

  int64_t tokens() const { return std::max(sizes.query_len, sizes.key_len); }
  // Of the first query, where queries stand at the end of the keys.
  int64_t q_offset() const { return std::max<int64_t>(0, sizes.key_len - sizes.query_len); }

  // Adds [rows, columns] of value(row, column) and returns its name.
  std::string Table(const std::string& name, DType dtype, int64_t rows, int64_t columns,
                    const std::function<int64_t(int64_t, int64_t)>& value) const {
    std::vector<int64_t> values;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) values.push_back(value(row, column));
    }
    tensors.Add(name, dtype, {rows, columns}, values);
    return name;
  }
  // [B].
  std::string Samples(const std::string& name, DType dtype,
                      const std::function<int64_t(int64_t)>& value) const {
    std::vector<int64_t> values;
    for (int64_t b = 0; b < sizes.batch; ++b) values.push_back(value(b));
    tensors.Add(name, dtype, {sizes.batch}, values);
    return name;
  }
  // [H].
  std::string Windows() const {
    std::vector<int64_t> values;
    for (int64_t head = 0; head < sizes.heads; ++head) values.push_back(head * tokens() / 5);
    tensors.Add("windows", DType::kInt32, {sizes.heads}, values);
    return "windows";
  }
  // Booleans at random, `kept` of 8 true.
  std::string Booleans(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                       int kept) const {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    std::mt19937_64 random(7);
    std::vector<int64_t> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(random() % 8 < uint64_t(kept) ? 1 : 0);
    tensors.Add(name, dtype, shape, values);
    return name;
  }
  // Documents of unequal length, others in each sample.
  std::string Documents(DType dtype) const {
    return Table("documents", dtype, sizes.batch, tokens(), [this](int64_t b, int64_t x) {
      const int64_t length = tokens() / 3 + 1;
      return x < length / 4 + b ? 0 : 1 + (x + 5 * b) / length;
    });
  }
  // The first tokens of a sample are padding, more in each.
  int64_t LeftPadding(int64_t b) const { return b * tokens() / 6 + tokens() / 20; }
  std::string PaddingMask(DType dtype) const {
    return Table("padding", dtype, sizes.batch, tokens(), [this](int64_t b, int64_t x) {
      return x >= LeftPadding(b) && x < tokens() - b ? 1 : 0;
    });
  }

  // Rows of blocks whose (3 row + block + sample + head) mod 4 is `remainder`.
  void ListBlocks(const std::string& counts, const std::string& indices, int64_t block,
                  int64_t heads, int64_t remainder) const {
    const int64_t query_blocks = CeilDivide(sizes.query_len, block);
    const int64_t key_blocks = CeilDivide(sizes.key_len, block);
    std::vector<int64_t> count_values;
    std::vector<int64_t> index_values;
    for (int64_t row = 0; row < sizes.batch * heads * query_blocks; ++row) {
      const size_t begin = index_values.size();
      const int64_t shift = 3 * (row % query_blocks) + row / query_blocks;
      for (int64_t j = key_blocks; j-- > 0;) {
        if ((shift + j) % 4 == remainder) index_values.push_back(j);
      }
      count_values.push_back(static_cast<int64_t>(index_values.size() - begin));
      index_values.resize(begin + static_cast<size_t>(key_blocks), -1);
    }
    tensors.Add(counts, DType::kInt32, {sizes.batch, heads, query_blocks}, count_values);
    tensors.Add(indices, DType::kInt64, {sizes.batch, heads, query_blocks, key_blocks},
                index_values);
  }
};

MaskNode And(std::vector<MaskNode> args) { return {mask_op::All{std::move(args)}}; }
MaskNode Or(std::vector<MaskNode> args) { return {mask_op::Any{std::move(args)}}; }
MaskNode Not(MaskNode arg) { return {mask_op::Not{{std::move(arg)}}}; }
MaskNode Causal() { return {mask_op::Causal{}}; }
MaskNode Sliding(int64_t window) { return {mask_op::SlidingWindow{.window = window}}; }
MaskNode Near(int64_t window) { return {mask_op::BidirectionalWindow{.window = window}}; }
MaskNode Dense(std::string mask) { return {mask_op::Dense{std::move(mask)}}; }

struct Named {
  const char* name;
  // Of queries at the end of the keys where `at_end`, else of both from 0.
  bool at_end;
  MaskNode (*draw)(const Canvas&);
};

constexpr Named kDiagonals[] = {
    {"causal", true, [](const Canvas&) { return Causal(); }},
    {"causal_from_0", false, [](const Canvas&) { return Causal(); }},
    {"bidirectional", false, [](const Canvas&) { return MaskNode{mask_op::Bidirectional{}}; }},
    {"nothing", false, [](const Canvas&) { return Not({mask_op::Bidirectional{}}); }},
    {"sliding", true,
     [](const Canvas& of) {
       return And({Causal(), Sliding(of.tokens() / 3 + 1)});
     }},
    {"sliding_alone", true, [](const Canvas& of) { return Sliding(of.tokens() / 3 + 1); }},
    {"sliding_of_heads", true,
     [](const Canvas& of) {
       return And({Causal(), {mask_op::SlidingWindow{.per_head = of.Windows()}}});
     }},
    {"near", true, [](const Canvas& of) { return Near(of.tokens() / 6); }},
    {"near_of_heads", true,
     [](const Canvas& of) {
       return MaskNode{mask_op::BidirectionalWindow{.per_head = of.Windows()}};
     }},
    {"far", true, [](const Canvas& of) { return Not(Near(of.tokens() / 6)); }},
    {"two_bands", true,
     [](const Canvas& of) {
       return Or({Near(of.tokens() / 10),
                  {mask_op::Offset{.q = -of.tokens() / 2, .arg = {Near(of.tokens() / 8)}}}});
     }},
    {"offset", false,
     [](const Canvas& of) {
       return MaskNode{mask_op::Offset{of.tokens() / 3, -2, {And({Causal(), Sliding(40)})}}};
     }},
};

constexpr Named kTables[] = {
    {"chunked", true,
     [](const Canvas&) {
       return And({Causal(), {mask_op::Chunked{.chunk = 24}}});
     }},
    {"chunked_left_padding", true,
     [](const Canvas& of) {
       const std::string starts =
           of.Samples("starts", DType::kInt64, [&of](int64_t b) { return of.LeftPadding(b); });
       return And({Causal(),
                   {mask_op::Chunked{16, starts}},
                   {mask_op::Padding{.mask = of.PaddingMask(DType::kUint8)}}});
     }},
    {"blockwise", true,
     [](const Canvas& of) {
       const std::string ids =
           of.Table("ids", DType::kInt64, of.sizes.batch, of.tokens() - 2,
                    [](int64_t b, int64_t x) { return (x + b) % 50 < 20 ? -1 : (x + b) / 50; });
       return Or({Causal(), {mask_op::Blockwise{ids}}});
     }},
    {"blockwise_alone", true,
     [](const Canvas& of) {
       const std::string ids = of.Table("ids", DType::kInt32, 1, of.tokens(),
                                        [](int64_t, int64_t x) { return (x / 9) % 4 - 1; });
       return MaskNode{mask_op::Blockwise{ids}};
     }},
    {"packed", false,
     [](const Canvas& of) { return MaskNode{mask_op::Packed{of.Documents(DType::kInt32)}}; }},
    {"packed_causal", true,
     [](const Canvas& of) {
       return And({Causal(), {mask_op::Packed{of.Documents(DType::kInt64)}}});
     }},
    {"packed_remap", true,
     [](const Canvas& of) {
       const std::string ids = of.Documents(DType::kInt32);
       const std::string positions = of.Table("positions", DType::kInt32, 1, of.tokens(),
                                              [](int64_t, int64_t x) { return x % 37; });
       return And({{mask_op::Packed{ids}},
                   {mask_op::Remap{positions, {And({Causal(), {mask_op::Chunked{.chunk = 8}}})}}}});
     }},
    {"padding_bytes", true,
     [](const Canvas& of) {
       return MaskNode{mask_op::Padding{.mask = of.PaddingMask(DType::kInt8)}};
     }},
    {"padding_bits", true,
     [](const Canvas& of) {
       return And({Causal(), {mask_op::Padding{.mask = of.PaddingMask(DType::kBits)}}});
     }},
    {"padding_lengths", false,
     [](const Canvas& of) {
       const std::string lengths = of.Samples("lengths", DType::kInt32, [&of](int64_t b) {
         return of.sizes.key_len * (of.sizes.batch - b) / (of.sizes.batch + 1);
       });
       return MaskNode{mask_op::Padding{.lengths = lengths}};
     }},
    {"prefix", true,
     [](const Canvas& of) {
       return Or({Causal(), {mask_op::Prefix{.length = of.tokens() / 2}}});
     }},
    {"prefix_lengths", true,
     [](const Canvas& of) {
       const std::string lengths =
           of.Samples("lengths", DType::kInt64, [&of](int64_t b) { return b * of.tokens() / 3; });
       return Or({And({Causal(), Sliding(30)}), {mask_op::Prefix{.lengths = lengths}}});
     }},
};

constexpr Named kDense[] = {
    {"dense", false,
     [](const Canvas& of) {
       const MaskSizes& s = of.sizes;
       return Dense(
           of.Booleans("mask", DType::kUint8, {s.batch, s.heads, s.query_len, s.key_len}, 4));
     }},
    {"dense_bits", true,
     [](const Canvas& of) {
       const MaskSizes& s = of.sizes;
       return And({Causal(), Dense(of.Booleans("mask", DType::kBits,
                                               {s.batch, 1, s.query_len, s.key_len}, 5))});
     }},
    {"dense_of_heads", false,
     [](const Canvas& of) {
       const MaskSizes& s = of.sizes;
       return Dense(of.Booleans("mask", DType::kBits, {1, s.heads, s.query_len, s.key_len}, 2));
     }},
    {"dense_of_keys", false,
     [](const Canvas& of) {
       return Dense(of.Booleans("mask", DType::kInt8, {of.sizes.batch, 1, 1, of.sizes.key_len}, 5));
     }},
    {"dense_of_queries", false,
     [](const Canvas& of) {
       const MaskSizes& s = of.sizes;
       return Dense(of.Booleans("mask", DType::kBits, {1, s.heads, s.query_len, 1}, 4));
     }},
    {"blocks", false,
     [](const Canvas& of) {
       of.ListBlocks("counts", "indices", 32, of.sizes.heads, 0);
       of.ListBlocks("full_counts", "full_indices", 32, of.sizes.heads, 2);
       return MaskNode{mask_op::Blocks{32, 32, "counts", "indices", "full_counts", "full_indices"}};
     }},
    {"blocks_partial", true,
     [](const Canvas& of) {
       of.ListBlocks("counts", "indices", 32, 1, 0);
       of.ListBlocks("full_counts", "full_indices", 32, 1, 2);
       mask_op::Blocks blocks{32, 32, "counts", "indices", "full_counts", "full_indices"};
       blocks.partial = {And({Causal(), Sliding(of.tokens() / 2)})};
       return MaskNode{std::move(blocks)};
     }},
    {"blocks_causal", true,
     [](const Canvas& of) {
       of.ListBlocks("counts", "indices", 128, 1, 1);
       return And(
           {Causal(), {mask_op::Blocks{.kv_num_blocks = "counts", .kv_indices = "indices"}}});
     }},
    {"function", true,
     [](const Canvas&) {
       return And({Causal(), {mask_op::Function{"stripes", {7, 3}, {}}}});
     }},
    {"nested", true,
     [](const Canvas& of) {
       const std::string ids = of.Documents(DType::kInt32);
       const std::string padding = of.PaddingMask(DType::kBits);
       return And({Or({And({Causal(), Sliding(50)}),
                       And({{mask_op::Packed{ids}}, Not(Near(3))}),
                       {mask_op::Offset{5, 1, {Near(4)}}}}),
                   {mask_op::Padding{.mask = padding}},
                   Not({mask_op::Function{"stripes", {11, 2}, {}}})});
     }},
};

std::vector<Named> AllNamed() {
  std::vector<Named> all;
  all.insert(all.end(), std::begin(kDiagonals), std::end(kDiagonals));
  all.insert(all.end(), std::begin(kTables), std::end(kTables));
  all.insert(all.end(), std::begin(kDense), std::end(kDense));
  return all;
}

}  // namespace

std::vector<std::string> MaskNames() {
  std::vector<std::string> names;
  for (const Named& named : AllNamed()) names.emplace_back(named.name);
  return names;
}

DrawnMask NamedMask(const std::string& name, const MaskSizes& sizes) {
  const std::vector<Named> all = AllNamed();
  const auto named =
      std::find_if(all.begin(), all.end(), [&](const Named& other) { return name == other.name; });
  assert(named != all.end());
  DrawnMask mask;
  mask.sizes = sizes;
  const Canvas canvas{sizes, mask.tensors};
  mask.spec.root = named->draw(canvas);
  mask.spec.q_offset = named->at_end ? canvas.q_offset() : 0;
  return mask;
}

}  // namespace attn
