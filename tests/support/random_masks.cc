#include "tests/support/random_masks.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/ceil_divide.h"
#include "kernels/core/limits.h"
#include "tests/support/mask_oracle.h"

namespace attn {
namespace {

// Past it, tables are not worth their memory.
constexpr int64_t kMaxReach = 1024;

// One draw; adds tensors as it names them.
class Drawing {
 public:
  // Offsets of the mask are drawn.
  Drawing(std::mt19937_64& random, DrawnMask& mask)
      : random_(random),
        mask_(mask),
        q_end_(mask.spec.q_offset + mask.sizes.query_len),
        kv_end_(mask.spec.kv_offset + mask.sizes.key_len) {}

  MaskNode Node(int depth) {
    if (depth <= 1 || nodes_ > 24 || Between(0, 9) < 3) return Leaf();
    ++nodes_;
    switch (Between(0, 5)) {
      case 0:
      case 1:
        return {mask_op::All{Args(depth)}};
      case 2:
        return {mask_op::Any{Args(depth)}};
      case 3:
        return {mask_op::Not{{Node(depth - 1)}}};
      case 4:
        return OffsetNode(depth);
      default:
        return RemapNode(depth);
    }
  }

  int64_t Between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  bool Coin() { return Between(0, 1) == 1; }

 private:
  // [samples][length].
  using Rows = std::vector<std::vector<int64_t>>;

  std::vector<MaskNode> Args(int depth) {
    std::vector<MaskNode> args;
    for (int64_t count = Between(1, 3); count > 0; --count) args.push_back(Node(depth - 1));
    return args;
  }

  MaskNode OffsetNode(int depth) {
    const int64_t q = Between(-9, 9);
    const int64_t kv = Between(-9, 9);
    q_end_ += q;
    kv_end_ += kv;
    MaskNode node = {mask_op::Offset{q, kv, {Node(depth - 1)}}};
    q_end_ -= q;
    kv_end_ -= kv;
    return node;
  }
  MaskNode RemapNode(int depth) {
    if (LeastLength() > kMaxReach) return Leaf();
    const std::string positions = Table(Positions());
    ++remaps_;
    MaskNode node = {mask_op::Remap{positions, {Node(depth - 1)}}};
    --remaps_;
    return node;
  }

  // Of a table that may not be too short.
  int64_t LeastLength() const { return remaps_ > 0 ? 1 : std::max<int64_t>({1, q_end_, kv_end_}); }

  MaskNode Leaf() {
    ++nodes_;
    const MaskSizes& sizes = mask_.sizes;
    switch (Between(0, 11)) {
      case 0:
        return {mask_op::Causal{}};
      case 1:
        return {mask_op::Bidirectional{}};
      case 2:
        if (Coin()) return {mask_op::SlidingWindow{0, PerHead()}};
        return {mask_op::SlidingWindow{Between(0, 20), ""}};
      case 3:
        if (Coin()) return {mask_op::BidirectionalWindow{0, PerHead()}};
        return {mask_op::BidirectionalWindow{Between(0, 20), ""}};
      case 4:
        return {mask_op::Chunked{Between(1, 20), Coin() ? "" : PerSample(-10, 20)}};
      case 5:
        return {mask_op::Blockwise{Table(Ids(1))}};
      case 6:
        if (LeastLength() > kMaxReach) return {mask_op::Causal{}};
        return {mask_op::Packed{Table(Ids(LeastLength()))}};
      case 7:
        if (Coin()) return {mask_op::Padding{"", PerSample(0, sizes.key_len + 5)}};
        return {mask_op::Padding{Flags(Padding()), ""}};
      case 8:
        if (Coin()) return {mask_op::Prefix{0, PerSample(0, sizes.key_len + 5)}};
        return {mask_op::Prefix{Between(0, sizes.key_len + 5), ""}};
      case 9:
        return DenseNode();
      case 10:
        return BlocksNode();
      default:
        return {mask_op::Function{
            "stripes",
            {static_cast<double>(Between(1, 9)), static_cast<double>(Between(0, 9))},
            {}}};
    }
  }

  std::string NewName() { return absl::StrCat("t", mask_.tensors.map().size()); }
  DType Integer() { return Coin() ? DType::kInt32 : DType::kInt64; }
  DType Boolean() {
    const DType dtypes[] = {DType::kUint8, DType::kInt8, DType::kBits};
    return dtypes[Between(0, 2)];
  }
  int64_t SamplesDrawn() { return Coin() ? 1 : mask_.sizes.batch; }
  int64_t HeadsDrawn() { return Coin() ? 1 : mask_.sizes.heads; }
  // Too short where that is allowed, just right or too long.
  int64_t LengthDrawn(int64_t least) {
    const int64_t tokens = std::max({mask_.sizes.query_len, mask_.sizes.key_len, least});
    return Coin() ? tokens : Between(least, tokens + 20);
  }
  std::vector<int64_t> Values(int64_t count, int64_t low, int64_t high) {
    std::vector<int64_t> values(static_cast<size_t>(count));
    for (int64_t& value : values) value = Between(low, high);
    return values;
  }
  std::string Add(DType dtype, const std::vector<int64_t>& shape,
                  const std::vector<int64_t>& values) {
    std::string name = NewName();
    mask_.tensors.Add(name, dtype, shape, values);
    return name;
  }
  std::string PerHead() {
    return Add(Integer(), {mask_.sizes.heads}, Values(mask_.sizes.heads, 0, 20));
  }
  std::string PerSample(int64_t low, int64_t high) {
    const int64_t samples = SamplesDrawn();
    return Add(Integer(), {samples}, Values(samples, low, high));
  }
  std::string AddRows(DType dtype, const Rows& rows) {
    std::vector<int64_t> values;
    for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
    return Add(dtype, {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())},
               values);
  }
  std::string Table(const Rows& rows) { return AddRows(Integer(), rows); }
  std::string Flags(const Rows& rows) { return AddRows(Boolean(), rows); }

  template <typename Row>
  Rows RowsOf(int64_t least, const Row& row) {
    Rows rows;
    const int64_t length = LengthDrawn(least);
    for (int64_t sample = SamplesDrawn(); sample > 0; --sample) rows.push_back(row(length));
    return rows;
  }
  // Runs of tokens, rising or with gaps and repetitions; or anything.
  Rows Ids(int64_t least) {
    const int64_t kind = Between(0, 2);
    return RowsOf(least, [&](int64_t length) {
      if (kind == 0) return Values(length, -2, 3);
      std::vector<int64_t> ids;
      int64_t id = kind == 1 ? 0 : -1;
      while (static_cast<int64_t>(ids.size()) < length) {
        for (int64_t run = Between(1, 30); run > 0; --run) ids.push_back(id);
        id = kind == 1 ? id + Between(1, 2) : Between(-1, 2);
      }
      ids.resize(static_cast<size_t>(length));
      return ids;
    });
  }
  // Left or right padding, or holes anywhere.
  Rows Padding() {
    const int64_t kind = Between(0, 2);
    return RowsOf(1, [&](int64_t length) {
      if (kind == 0) return Values(length, 0, 1);
      const int64_t edge = Between(0, length);
      std::vector<int64_t> flags;
      for (int64_t i = 0; i < length; ++i) flags.push_back((i < edge) == (kind == 1) ? 1 : 0);
      return flags;
    });
  }
  // Identity, counted anew in every run, or anything.
  Rows Positions() {
    const int64_t kind = Between(0, 2);
    return RowsOf(LeastLength(), [&](int64_t length) {
      if (kind == 0) return Values(length, -4, length + 6);
      std::vector<int64_t> positions(static_cast<size_t>(length));
      std::iota(positions.begin(), positions.end(), 0);
      if (kind == 1) return positions;
      int64_t start = 0;
      for (int64_t i = 0; i < length; ++i) {
        if (Between(0, 12) == 0) start = i;
        positions[static_cast<size_t>(i)] = i - start;
      }
      return positions;
    });
  }

  MaskNode DenseNode() {
    const MaskSizes& sizes = mask_.sizes;
    const std::vector<int64_t> shape = {SamplesDrawn(), HeadsDrawn(),
                                        Between(0, 3) == 0 ? 1 : sizes.query_len,
                                        Between(0, 3) == 0 ? 1 : sizes.key_len};
    return {mask_op::Dense{
        Add(Boolean(), shape, Values(shape[0] * shape[1] * shape[2] * shape[3], 0, 1))}};
  }

  MaskNode BlocksNode() {
    const MaskSizes& sizes = mask_.sizes;
    mask_op::Blocks blocks;
    blocks.block_q = Between(1, std::min<int64_t>(sizes.query_len + 3, 20));
    blocks.block_kv = Between(1, std::min<int64_t>(sizes.key_len + 3, 90));
    const int64_t samples = SamplesDrawn();
    const int64_t heads = HeadsDrawn();
    const int64_t query_blocks = CeilDivide(sizes.query_len, blocks.block_q);
    const int64_t key_blocks = CeilDivide(sizes.key_len, blocks.block_kv);
    const bool full = Coin();
    std::vector<int64_t> counts[2];
    std::vector<int64_t> indices[2];
    for (int64_t row = 0; row < samples * heads * query_blocks; ++row) {
      std::vector<int64_t> order(static_cast<size_t>(key_blocks));
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), random_);
      const int64_t partial = Between(0, key_blocks);
      // The full ones from the other end: disjoint.
      const int64_t whole = Between(0, key_blocks - partial);
      counts[0].push_back(partial);
      counts[1].push_back(whole);
      for (int64_t i = 0; i < key_blocks; ++i) {
        indices[0].push_back(i < partial ? order[static_cast<size_t>(i)] : -1);
        indices[1].push_back(i < whole ? order[static_cast<size_t>(key_blocks - 1 - i)] : 1 << 30);
      }
    }
    const std::vector<int64_t> shape = {samples, heads, query_blocks};
    const std::vector<int64_t> wide = {samples, heads, query_blocks, key_blocks};
    blocks.kv_num_blocks = Add(Integer(), shape, counts[0]);
    blocks.kv_indices = Add(Integer(), wide, indices[0]);
    if (full) {
      blocks.full_kv_num_blocks = Add(Integer(), shape, counts[1]);
      blocks.full_kv_indices = Add(Integer(), wide, indices[1]);
    }
    if (nodes_ < 24 && Coin()) blocks.partial = {Leaf()};
    return {blocks};
  }

  std::mt19937_64& random_;
  DrawnMask& mask_;
  int nodes_ = 0;
  // Behind the last query and key of the call, where the node stands that is drawn; of no account
  // within a remap.
  int64_t q_end_;
  int64_t kv_end_;
  int remaps_ = 0;
};

std::string Tree(const MaskNode& node) {
  std::vector<std::string> parts = TensorsOf(node);
  for (const MaskNode& arg : ArgsOf(node)) parts.push_back(Tree(arg));
  return absl::StrCat(Name(node), "(", absl::StrJoin(parts, ", "), ")");
}

}  // namespace

std::shared_ptr<const MaskExpression> DrawnMask::Create() const {
  auto expression = MaskExpression::Create(spec, sizes, tensors.Shapes(), {&StripesFunction()});
  return *std::move(expression);
}

bool DrawnMask::Sees(int64_t b, int64_t head, int64_t i, int64_t j) const {
  return MaskOracle(spec, sizes, tensors.map(), b, head, i, j, {&StripesFunction()});
}

std::string DrawnMask::Describe() const {
  return absl::StrCat("seed ", seed, " B ", sizes.batch, " H ", sizes.heads, " Sq ",
                      sizes.query_len, " Sk ", sizes.key_len, " offsets ", spec.q_offset, ",",
                      spec.kv_offset, " ", Tree(spec.root));
}

DrawnMask DrawMask(uint64_t seed, const MaskSizes& sizes) {
  std::mt19937_64 random(seed);
  DrawnMask mask;
  mask.seed = seed;
  mask.sizes = sizes;
  const auto between = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  const bool far = between(0, 19) == 0;
  if (between(0, 1) == 1) mask.spec.q_offset = far ? kMaxMaskNumber : between(-5, 30);
  if (between(0, 1) == 1) mask.spec.kv_offset = far ? -kMaxMaskNumber : between(-5, 30);
  mask.spec.root = Drawing(random, mask).Node(5);
  return mask;
}

DrawnMask DrawMask(uint64_t seed) {
  std::mt19937_64 random(seed ^ 0x9e3779b97f4a7c15u);
  const auto between = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  MaskSizes sizes;
  sizes.batch = between(1, 3);
  sizes.heads = between(1, 3);
  sizes.query_len = between(1, 40);
  sizes.key_len = between(0, 5) == 0 ? between(200, 300) : between(1, 70);
  return DrawMask(seed, sizes);
}

}  // namespace attn
