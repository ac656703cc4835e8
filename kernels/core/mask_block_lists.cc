#include "kernels/core/mask_block_lists.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/index_table.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"

namespace attn {
namespace {

// One of the two lists of every row. Borrows all.
struct BlockList {
  const char* counts_field;
  const std::string& counts_name;
  const TensorView& counts;
  const char* indices_field;
  const std::string& indices_name;
  const TensorView& indices;
};

// Row-major number of element (b, head, query_block, 0); axes of size 1 stand for any b and head.
int64_t FirstElement(const TensorView& view, int64_t b, int64_t head, int64_t query_block) {
  const int64_t row =
      ((view.dim(0) == 1 ? 0 : b) * view.dim(1) + (view.dim(1) == 1 ? 0 : head)) * view.dim(2) +
      query_block;
  return view.layout.rank == 4 ? row * view.dim(3) : row;
}

// Sets the bits of one row. Bits that are set already, there or in `others`, are those of the same
// row listed before.
absl::Status AddRow(const std::string& path, const BlockList& list, int64_t b, int64_t head,
                    int64_t query_block, int64_t key_blocks, uint64_t* listed,
                    const uint64_t* others) {
  const auto error = [&](const std::string& element, int64_t value, const std::string& allowed) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", element, " is ", value, ", allowed: ", allowed));
  };
  const int64_t width = list.indices.dim(3);
  const int64_t counted = FirstElement(list.counts, b, head, query_block);
  const int64_t count = LoadInteger(list.counts.data, list.counts.dtype, counted);
  if (count < 0 || count > width) {
    return error(ElementText(list.counts_field, list.counts_name, list.counts, counted), count,
                 absl::StrCat("0 to ", width));
  }
  const int64_t first = FirstElement(list.indices, b, head, query_block);
  for (int64_t element = first; element < first + count; ++element) {
    const int64_t block = LoadInteger(list.indices.data, list.indices.dtype, element);
    const auto where = [&] {
      return ElementText(list.indices_field, list.indices_name, list.indices, element);
    };
    if (block < 0 || block >= key_blocks) {
      return error(where(), block, absl::StrCat("0 to ", key_blocks - 1));
    }
    uint64_t& word = listed[block / 64];
    const uint64_t bit = uint64_t{1} << (block % 64);
    if (((word | others[block / 64]) & bit) != 0) {
      return error(where(), block, "a block that the row has not listed before, partial or full");
    }
    word |= bit;
  }
  return absl::OkStatus();
}

}  // namespace

std::string ElementText(const std::string& field, const std::string& tensor, const TensorView& view,
                        int64_t element) {
  std::vector<int64_t> index(static_cast<size_t>(view.layout.rank));
  for (int axis = view.layout.rank; axis-- > 0; element /= view.dim(axis)) {
    index[static_cast<size_t>(axis)] = element % view.dim(axis);
  }
  return absl::StrCat(field, " ", Quoted(tensor), "[", absl::StrJoin(index, ", "), "]");
}

absl::StatusOr<std::vector<program_op::Blocks>> BindBlockLists(const std::string& path,
                                                               const mask_op::Blocks& op,
                                                               const MaskSizes& sizes,
                                                               const TensorMap& tensors) {
  const auto tensor = [&](const std::string& name) -> const TensorView& {
    return tensors.find(name)->second;
  };
  std::vector<BlockList> lists = {{"kv_num_blocks", op.kv_num_blocks, tensor(op.kv_num_blocks),
                                   "kv_indices", op.kv_indices, tensor(op.kv_indices)}};
  if (!op.full_kv_num_blocks.empty()) {
    lists.push_back({"full_kv_num_blocks", op.full_kv_num_blocks, tensor(op.full_kv_num_blocks),
                     "full_kv_indices", op.full_kv_indices, tensor(op.full_kv_indices)});
  }
  program_op::Blocks blocks{.block_q = op.block_q,
                            .block_kv = op.block_kv,
                            .query_len = sizes.query_len,
                            .key_len = sizes.key_len};
  for (const BlockList& list : lists) {
    blocks.batch = std::max({blocks.batch, list.counts.dim(0), list.indices.dim(0)});
    blocks.heads = std::max({blocks.heads, list.counts.dim(1), list.indices.dim(1)});
  }
  const int64_t rows = blocks.query_blocks();
  const int64_t words = blocks.words_per_row();
  std::vector<program_op::Blocks> tables(static_cast<size_t>(op.tables()), blocks);
  for (program_op::Blocks& table : tables) {
    table.listed.resize(static_cast<size_t>(blocks.batch * blocks.heads * rows * words));
  }
  uint64_t* const partial = tables.front().listed.data();
  uint64_t* const full = tables.back().listed.data();
  int64_t word = 0;
  for (int64_t b = 0; b < blocks.batch; ++b) {
    for (int64_t head = 0; head < blocks.heads; ++head) {
      for (int64_t row = 0; row < rows; ++row, word += words) {
        for (const BlockList& list : lists) {
          uint64_t* const own = &list == &lists.front() ? partial : full;
          ATTN_RETURN_IF_ERROR(
              AddRow(path, list, b, head, row, blocks.key_blocks(), own + word, partial + word));
        }
      }
    }
  }
  return tables;
}

}  // namespace attn
