#include "client/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/cli/printable.h"

namespace attn::cli {

Table::Table(const std::vector<std::string>& titles) {
  for (const std::string& title : titles) {
    const bool right = !title.empty() && title[0] == '>';
    titles_.push_back(right ? title.substr(1) : title);
    right_aligned_.push_back(right);
  }
}

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(titles_.size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::Text() const {
  std::vector<size_t> widths;
  for (const std::string& title : titles_) widths.push_back(title.size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  const auto append_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - cells[i].size(), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", right_aligned_[i] ? padding : "", cells[i],
                      right_aligned_[i] ? "" : padding);
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&text, line, "\n");
  };
  append_line(titles_);
  for (const auto& row : rows_) append_line(row);
  return text;
}

}  // namespace attn::cli
