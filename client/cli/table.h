// Tables of text with aligned columns.
#ifndef ATTN_CLIENT_CLI_TABLE_H_
#define ATTN_CLIENT_CLI_TABLE_H_

#include <string>
#include <vector>

namespace attn::cli {

class Table {
 public:
  // A title that begins with '>' (not shown) makes its column right-aligned: numbers.
  explicit Table(const std::vector<std::string>& titles);

  // As many cells as there are titles; control characters are escaped.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // Lines of titles and rows, two spaces between columns, none at the ends of lines.
  std::string Text() const;

 private:
  std::vector<std::string> titles_;
  std::vector<bool> right_aligned_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace attn::cli

#endif  // ATTN_CLIENT_CLI_TABLE_H_
