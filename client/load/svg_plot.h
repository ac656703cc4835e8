// Plots as inline SVG. Colours are classes of the page around them (`s0`, `s1`, ... for series), so
// that its light and dark schemes apply. Every plot has a title and a description for those who
// cannot see it.
#ifndef ATTN_CLIENT_LOAD_SVG_PLOT_H_
#define ATTN_CLIENT_LOAD_SVG_PLOT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace attn::load {

// & < > " ' as entities.
std::string EscapeHtml(absl::string_view text);

struct Tick {
  double at;
  std::string label;
};

struct Axis {
  std::string title;
  double min = 0;
  double max = 1;
  std::vector<Tick> ticks;
};

// From 0 to at least `max`, in steps of 1, 2 or 5 times a power of ten.
Axis LinearAxis(std::string title, double max);

struct Series {
  std::string name;
  std::string css_class;
  std::vector<std::pair<double, double>> points;  // x ascending
};

struct PlotText {
  std::string title;
  std::string description;
};

// Lines, and a legend of them.
std::string LinePlot(const PlotText& text, const Axis& x, const Axis& y,
                     const std::vector<Series>& series);

// A part of a whole.
struct Part {
  std::string name;
  double value = 0;
};

// One bar divided among the parts, `unit` after each value in the legend.
std::string StackedBar(const PlotText& text, const std::vector<Part>& parts,
                       const std::string& unit);

// A column for each value over equal parts of the x axis.
std::string ColumnPlot(const PlotText& text, const Axis& x, const Axis& y,
                       const std::vector<double>& values);

}  // namespace attn::load

#endif  // ATTN_CLIENT_LOAD_SVG_PLOT_H_
