#include "client/load/svg_plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace attn::load {
namespace {

// Of the drawing, in its own units; the page scales it to its width.
constexpr double kWidth = 720;
constexpr double kHeight = 320;
constexpr double kLeft = 72;
constexpr double kRight = 16;
constexpr double kTop = 40;  // Room for the legend.
constexpr double kBottom = 48;

// Of a character of the plots' font, near enough to lay out a legend.
constexpr double kCharacterWidth = 7.8;

double XOf(const Axis& axis, double value) {
  const double share = (value - axis.min) / (axis.max - axis.min);
  return kLeft + std::clamp(share, 0.0, 1.0) * (kWidth - kLeft - kRight);
}

double YOf(const Axis& axis, double value) {
  const double share = (value - axis.min) / (axis.max - axis.min);
  return kHeight - kBottom - std::clamp(share, 0.0, 1.0) * (kHeight - kTop - kBottom);
}

std::string Begin(const PlotText& text, double height) {
  return absl::StrFormat(
      "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"%s\"><title>%s</title>"
      "<desc>%s</desc>\n",
      kWidth, height, EscapeHtml(text.title), EscapeHtml(text.title), EscapeHtml(text.description));
}

std::string TextAt(double x, double y, const char* anchor, absl::string_view text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                         EscapeHtml(text));
}

std::string Line(const char* css_class, double x1, double y1, double x2, double y2) {
  return absl::StrFormat("<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                         css_class, x1, y1, x2, y2);
}

std::string Rectangle(absl::string_view css_class, double x, double y, double width, double height,
                      absl::string_view tooltip) {
  return absl::StrFormat(
      "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s</title>"
      "</rect>\n",
      css_class, x, y, width, height, EscapeHtml(tooltip));
}

std::string Axes(const Axis& x, const Axis& y) {
  const double bottom = kHeight - kBottom;
  std::string svg;
  for (const Tick& tick : y.ticks) {
    const double at = YOf(y, tick.at);
    svg += Line("grid", kLeft, at, kWidth - kRight, at);
    svg += TextAt(kLeft - 8, at + 4, "end", tick.label);
  }
  for (const Tick& tick : x.ticks) {
    const double at = XOf(x, tick.at);
    svg += Line("grid", at, kTop, at, bottom);
    svg += TextAt(at, bottom + 20, "middle", tick.label);
  }
  svg += Line("axis", kLeft, bottom, kWidth - kRight, bottom);
  svg += TextAt((kLeft + kWidth - kRight) / 2, kHeight - 6, "middle", x.title);
  svg += TextAt(2, 18, "start", y.title);
  return svg;
}

// From `x` on; wraps at the right edge. `bottom` receives where it ends.
std::string Legend(double x, double y,
                   const std::vector<std::pair<std::string, std::string>>& names_and_classes,
                   double* bottom) {
  constexpr double kLineHeight = 22;
  const double left = x;
  std::string svg;
  for (const auto& [name, css_class] : names_and_classes) {
    const double width = 30 + kCharacterWidth * static_cast<double>(name.size());
    if (x > left && x + width > kWidth - kRight) {
      x = left;
      y += kLineHeight;
    }
    svg += Rectangle(absl::StrCat("fill ", css_class), x, y - 10, 12, 12, name);
    svg += TextAt(x + 17, y, "start", name);
    x += width;
  }
  *bottom = y;
  return svg;
}

}  // namespace

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

Axis LinearAxis(std::string title, double max) {
  constexpr double kTicks = 5;
  if (!(max > 0)) max = 1;
  const double power = std::pow(10, std::floor(std::log10(max / kTicks)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0}) {
    if (step * kTicks < max) step = power * factor;
  }
  Axis axis = {.title = std::move(title)};
  const int count = static_cast<int>(std::ceil(max / step - 1e-9));
  for (int i = 0; i <= count; ++i)
    axis.ticks.push_back({i * step, absl::StrFormat("%g", i * step)});
  axis.max = count * step;
  return axis;
}

std::string LinePlot(const PlotText& text, const Axis& x, const Axis& y,
                     const std::vector<Series>& series) {
  std::string svg = Begin(text, kHeight) + Axes(x, y);
  std::vector<std::pair<std::string, std::string>> legend;
  // The first series is drawn last: above the others.
  for (auto one = series.rbegin(); one != series.rend(); ++one) {
    std::string points;
    for (const auto& [at, value] : one->points) {
      absl::StrAppendFormat(&points, "%.1f,%.1f ", XOf(x, at), YOf(y, value));
    }
    absl::StrAppend(&svg, "<polyline class=\"line ", one->css_class, "\" points=\"", points,
                    "\"/>\n");
    legend.insert(legend.begin(), {one->name, one->css_class});
  }
  double bottom = 0;
  return absl::StrCat(svg, Legend(kLeft + 8, 18, legend, &bottom), "</svg>\n");
}

std::string StackedBar(const PlotText& text, const std::vector<Part>& parts,
                       const std::string& unit) {
  constexpr double kBarHeight = 44;
  double total = 0;
  for (const Part& part : parts) total += part.value;
  std::string bar;
  std::vector<std::pair<std::string, std::string>> legend;
  double x = kRight;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string css_class = absl::StrCat("s", i);
    const double share = total > 0 ? parts[i].value / total : 0;
    const double width = share * (kWidth - 2 * kRight);
    const std::string label =
        absl::StrFormat("%s %.3f %s (%.1f%%)", parts[i].name, parts[i].value, unit, 100 * share);
    bar += Rectangle("fill " + css_class, x, 8, width, kBarHeight, label);
    legend.emplace_back(label, css_class);
    x += width;
  }
  double bottom = 0;
  const std::string names = Legend(kRight, kBarHeight + 32, legend, &bottom);
  return absl::StrCat(Begin(text, bottom + 10), bar, names, "</svg>\n");
}

std::string ColumnPlot(const PlotText& text, const Axis& x, const Axis& y,
                       const std::vector<double>& values) {
  std::string svg = Begin(text, kHeight) + Axes(x, y);
  const double step = (x.max - x.min) / static_cast<double>(std::max<size_t>(1, values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    const double from = x.min + step * static_cast<double>(i);
    const double left = XOf(x, from);
    const double top = YOf(y, values[i]);
    svg +=
        Rectangle("fill s0", left + 1, top, XOf(x, from + step) - left - 2, kHeight - kBottom - top,
                  absl::StrFormat("%g to %g: %g", from, from + step, values[i]));
  }
  return svg + "</svg>\n";
}

}  // namespace attn::load
