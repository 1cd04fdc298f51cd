"""Plots as inline SVG. Colours are left to the page (`currentColor`, `var(--base)`), so that they follow light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

# Colours that matplotlib writes and the page replaces.
INK, FAINT = "#010203", "#040506"
PAGE = {INK: "currentColor", FAINT: "var(--line)", "#0a0b0c": "var(--base)", "#0d0e0f": "var(--tuned)"}
COLOURS = {"base": "#0a0b0c", "tuned": "#0d0e0f"}
MARKERS = {"base": "o", "tuned": "s"}


class Point(NamedTuple):
    """A share with its interval at one place of the horizontal axis."""

    model: str
    where: str
    value: float
    low: float | None
    high: float | None


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=12, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Any, title: str) -> str:
    """The figure as an SVG element: no font files, no scripts, nothing from outside, the same bytes every time."""
    import html

    import matplotlib

    written = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font: \1 inherit", svg)
    for colour, name in PAGE.items():
        svg = svg.replace(colour, name)
    svg = re.sub(r"font: ([\d.]+px) inherit", r"font-size: \1", svg)
    label = html.escape(title, quote=True)
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"|<svg ', lambda m: f'<svg role="img" aria-label="{label}" {_kept(m)}', svg, count=1)


def _kept(found: re.Match[str]) -> str:
    return found.group(1) or ""


def shares(points: Sequence[Point], order: Sequence[str], title: str) -> str:
    """Shares by setting with 95 % intervals: a hollow circle for base, a square for tuned."""
    figure, axes = _figure(2.9)
    models = [m for m in ("base", "tuned") if any(p.model == m for p in points)]
    for model in models:
        shift = (models.index(model) - (len(models) - 1) / 2) * 0.22
        mine = [p for p in points if p.model == model and p.where in order]
        x, y = [order.index(p.where) + shift for p in mine], [100 * p.value for p in mine]
        reach = [[100 * (p.value - (p.value if p.low is None else p.low)) for p in mine]]
        reach += [[100 * ((p.value if p.high is None else p.high) - p.value) for p in mine]]
        filled = COLOURS[model] if model == "tuned" else "none"
        axes.errorbar(
            x, y, yerr=[[max(0.0, r) for r in side] for side in reach], fmt=MARKERS[model], color=COLOURS[model], markerfacecolor=filled,
            markeredgewidth=1.6, markersize=6.5, elinewidth=1.6, capsize=0,
        )  # fmt: skip
    axes.set_xlim(-0.6, len(order) - 0.4)
    axes.set_ylim(-4, 104)
    axes.set_xticks(range(len(order)), order)
    axes.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    return _svg(figure, title)


def line(points: Sequence[tuple[float, float]], title: str) -> str:
    """A measure by step."""
    figure, axes = _figure(2.6)
    axes.plot([s for s, _ in points], [v for _, v in points], color=COLOURS["tuned"], linewidth=1.6)
    axes.set_xlabel("step", color=INK, fontsize=12)
    return _svg(figure, title)


def loss(steps: Sequence[tuple[float, float]], title: str, held: Sequence[tuple[float, float]] = ()) -> str:
    """Training loss by step: each value faint, a running mean over it; the loss on held-out examples as squares."""
    figure, axes = _figure(2.6)
    x, y = [s for s, _ in steps], [v for _, v in steps]
    wide = max(1, len(y) // 20)
    smooth = [sum(y[max(0, n - wide) : n + 1]) / len(y[max(0, n - wide) : n + 1]) for n in range(len(y))]
    axes.plot(x, y, color=COLOURS["base"], linewidth=0.8, alpha=0.5)
    axes.plot(x, smooth, color=COLOURS["tuned"], linewidth=1.8)
    if held:
        axes.plot([s for s, _ in held], [v for _, v in held], color=INK, linewidth=1.0, marker="s", markersize=4)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step", color=INK, fontsize=12)
    return _svg(figure, title)
