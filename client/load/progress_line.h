// A line on stderr that says how a run is going: rewritten in place on a terminal, a new one each
// time elsewhere.
#ifndef ATTN_CLIENT_LOAD_PROGRESS_LINE_H_
#define ATTN_CLIENT_LOAD_PROGRESS_LINE_H_

#include <string>

#include "client/load/runner.h"

namespace attn::load {

class ProgressLine {
 public:
  // `label` begins the line: what is running.
  ProgressLine(bool terminal, std::string label);
  // Clears the line of a terminal.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(const LiveFigures& figures);

 private:
  const bool terminal_;
  const std::string label_;
};

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_PROGRESS_LINE_H_
