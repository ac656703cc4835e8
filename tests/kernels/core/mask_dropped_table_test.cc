// Where transformers leaves the mask out and relies on the kernel's causal flag, the expression
// that it left out must mean the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/golden/safetensors.h"
#include "client/golden/tensor_compare.h"
#include "tests/kernels/core/evaluated_mask.h"
#include "tests/support/golden_files.h"
#include "tests/support/random_masks.h"

namespace attn {
namespace {

// The columns of `rows`, and whether the mask was dropped.
struct TableRow {
  int64_t query_len;
  int64_t key_len;
  int64_t q_offset;
  int64_t kv_offset;
  int64_t window;   // -1 = none
  int64_t padding;  // Its kind.
  bool dropped;

  std::string Text() const {
    return absl::StrJoin({query_len, key_len, q_offset, kv_offset, window, padding}, ",");
  }
};

std::vector<TableRow> ReadTable(const SafetensorsFile& file) {
  const std::vector<double> rows = *ToDoubles(*file.Find("rows"));
  const std::vector<double> dropped = *ToDoubles(*file.Find("dropped"));
  std::vector<TableRow> table;
  for (size_t i = 0; i < dropped.size(); ++i) {
    const auto at = [&](size_t column) { return static_cast<int64_t>(rows[6 * i + column]); };
    table.push_back({at(0), at(1), at(2), at(3), at(4), at(5), dropped[i] != 0});
  }
  return table;
}

// By the case's notes, of keys at 0 to kv_offset + key_len.
std::vector<int64_t> PaddingOf(const TableRow& row) {
  std::vector<int64_t> flags(static_cast<size_t>(row.kv_offset + row.key_len), 1);
  if (row.padding == 2) flags.front() = 0;
  if (row.padding == 3) std::fill(flags.begin() + row.query_len, flags.end(), 0);
  if (row.padding == 4) flags[static_cast<size_t>(row.kv_offset)] = 0;
  return flags;
}

DrawnMask MaskOf(const TableRow& row) {
  DrawnMask mask;
  mask.sizes = {1, 1, row.query_len, row.key_len};
  std::vector<MaskNode> args = {{mask_op::Causal{}}};
  if (row.window >= 0) args.push_back({mask_op::SlidingWindow{row.window, ""}});
  if (row.padding > 0) {
    const std::vector<int64_t> flags = PaddingOf(row);
    mask.tensors.Add("padding", DType::kUint8, {1, static_cast<int64_t>(flags.size())}, flags);
    args.push_back({mask_op::Padding{"padding", ""}});
  }
  mask.spec = {{mask_op::All{std::move(args)}}, row.q_offset, row.kv_offset};
  return mask;
}

// One query attends everything; else the diagonal lies top-left.
bool CausalFlagShows(const TableRow& row, int64_t i, int64_t j) {
  return row.query_len == 1 || j <= i;
}

TEST(DroppedMasks, MeanWhatTheCausalFlagMeans) {
  const std::string path = FindGoldenFile(ATTN_SOURCE_DIR, "masks/causal_mask_dropped_table");
  if (path.empty()) GTEST_SKIP() << "no golden case masks/causal_mask_dropped_table";
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Read(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<TableRow> table = ReadTable(*file);
  EXPECT_EQ(table.size(), 20u);
  int compared = 0;
  for (const TableRow& row : table) {
    SCOPED_TRACE(row.Text());
    const DrawnMask mask = MaskOf(row);
    const TileWords tile = Evaluated(Bound(mask), 0, 0, {0, row.query_len}, {0, row.key_len});
    if (!row.dropped) continue;
    int64_t different = 0;
    for (int64_t i = 0; i < row.query_len; ++i) {
      for (int64_t j = 0; j < row.key_len; ++j) {
        different += tile.at(i, j) != CausalFlagShows(row, i, j);
      }
    }
    // transformers looks at the lengths alone: queries at 4 to 11 of keys at 0 to 7 see more than
    // the triangle that it leaves them.
    const bool wrongly_dropped =
        row.query_len == row.key_len && row.q_offset != row.kv_offset && row.query_len > 1;
    EXPECT_EQ(different > 0, wrongly_dropped);
    ++compared;
  }
  EXPECT_EQ(compared, 9);
}

}  // namespace
}  // namespace attn
