"""The roofline plot of a run: what the machine can do, and where each row comes to lie."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

FP32, BF16, MEMORY = "#1f6fb2", "#c2571a", "#555555"
INTENSITIES = (1, 10_000)  # FLOP a byte


def lines_of(ceilings):
    """(label, GFLOP/s, colour) of each ceiling that the machine has."""
    for label, name, colour in (("fp32 FMA", "fp32_gflops", FP32),
                                ("bf16 dot products", "bf16_dot_gflops", BF16),
                                ("AMX bf16", "amx_gflops", BF16)):
        if ceilings[name]:
            yield label, ceilings[name], colour


def draw_ceilings(axes, ceilings):
    bandwidth = ceilings["read_gb_per_s"]
    highest = max(gflops for _, gflops, _ in lines_of(ceilings))
    slope = [INTENSITIES[0], highest / bandwidth]
    axes.plot(slope, [bandwidth * x for x in slope], color=MEMORY, linewidth=1.5)
    axes.annotate(f"memory {bandwidth:.0f} GB/s", (slope[0] * 1.1, bandwidth * slope[0] * 2.2),
                  color=MEMORY)
    for label, gflops, colour in lines_of(ceilings):
        axes.plot([gflops / bandwidth, INTENSITIES[1]], [gflops, gflops], color=colour,
                  linewidth=1.5)
        axes.annotate(f"{label} {gflops:.0f} GFLOP/s", (gflops / bandwidth, gflops),
                      xytext=(8, -13), textcoords="offset points", color=colour)


def draw_rows(axes, rows):
    for dtype, colour in (("fp32", FP32), ("bf16", BF16)):
        chosen = [figures for figures in rows if figures["dtype"] == dtype]
        for side, marker, filled in (("ours", "o", True), ("torch", "s", False)):
            points = [(figures["flops_per_byte"], figures[f"{side}_gflops"])
                      for figures in chosen if f"{side}_gflops" in figures]
            if points:
                axes.scatter(*zip(*points), marker=marker, s=36, linewidths=1.2, zorder=3,
                             edgecolors=colour, facecolors=colour if filled else "white",
                             label=f"{side}, {dtype}")


def draw(data, path):
    figure, axes = pyplot.subplots(figsize=(9, 5.5), dpi=120, layout="constrained")
    ceilings = data["ceilings"][str(data["threads"])]
    axes.set(xscale="log", yscale="log", xlim=INTENSITIES,
             xlabel="FLOP a byte of q, k, v and output", ylabel="GFLOP/s",
             title=f"CPU attention: {data['machine']}, {data['threads']} threads")
    draw_ceilings(axes, ceilings)
    draw_rows(axes, data["rows"])
    axes.grid(which="major", alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path)
    pyplot.close(figure)
