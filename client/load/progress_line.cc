#include "client/load/progress_line.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"

namespace attn::load {
namespace {

// To the line's begin, and what stood there erased.
constexpr char kRewrite[] = "\r\x1b[K";

}  // namespace

ProgressLine::ProgressLine(bool terminal, std::string label)
    : terminal_(terminal), label_(std::move(label)) {}

ProgressLine::~ProgressLine() {
  if (terminal_) std::fputs(kRewrite, stderr);
}

void ProgressLine::Show(const LiveFigures& figures) {
  const std::string line = absl::StrFormat(
      "%s  %.1fs  %d done, %d failed, %d in flight  %.1f calls/s  p50 %.2f  p99 %.2f ms", label_,
      absl::ToDoubleSeconds(figures.elapsed), figures.completed, figures.failed, figures.in_flight,
      figures.calls_per_s, static_cast<double>(figures.p50_ns) / 1e6,
      static_cast<double>(figures.p99_ns) / 1e6);
  std::fputs((terminal_ ? kRewrite + line : line + "\n").c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace attn::load
