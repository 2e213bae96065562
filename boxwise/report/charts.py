"""Line charts and heat maps, as inline SVG that follows the page's light or dark colours, or as PNG.

Returns SVG text or writes a file. Knows nothing of studies, HTML pages or where its numbers come from.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from boxwise.results.colors import PALETTE

Numbers = Sequence[float] | NDArray[np.float64]

NEUTRAL = "#8A8F98"  # the baseline recedes
BY_MODEL, BY_PERSON = "#009E73", "#E69F00"  # who a box comes from; the model's is dashed as well
MARKERS = ("o", "s", "^", "D", "v")
_SIZE = (3.3, 2.45)  # inches
_LETTER = 0.075  # inches that a letter takes at 9 points, a little more than most
# Sentinels: the SVG writer only takes colours, the page wants its own variables.
INK, GRID = "#010203", "#010204"
_HEAT = LinearSegmentedColormap.from_list("heat", [(0.0, 0.447, 0.698, 0.0), (0.0, 0.447, 0.698, 1.0)])
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}


@dataclass(frozen=True)
class Line:
    """One line of a chart; `low` and `high` bound its band, `faint` draws it thin, without markers or legend entry."""

    name: str
    x: Numbers
    y: Numbers
    color: str
    low: Numbers | None = None
    high: Numbers | None = None
    marker: str = ""
    dashed: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Axis:
    """What a line chart says about its two axes. `bottom`, `top`: limits of y, None to follow the lines (not their bands)."""

    x: str
    y: str
    bottom: float | None = None
    top: float | None = None
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Chart:
    """An SVG with its caption; `keys` are the lines its legend names, drawn by the page in the reader's font."""

    svg: str
    caption: str
    keys: tuple[Line, ...] = ()


def arm_colors(arms: Iterable[str], baseline: str) -> dict[str, str]:
    """A colour for each arm, the same in every chart of a report; the baseline is grey."""
    colors = cycle(PALETTE)
    return {arm: NEUTRAL if arm == baseline else next(colors) for arm in arms}


def arm_markers(arms: Iterable[str]) -> dict[str, str]:
    """A marker for each arm, so that colour is never the only difference."""
    return dict(zip(arms, cycle(MARKERS), strict=False))


def round_colors(count: int) -> list[str]:
    """Colours for rounds in their order, dark to light."""
    return [mpl.colors.to_hex(mpl.colormaps["viridis"](share)) for share in np.linspace(0.25, 0.88, count)]


def line_chart(lines: Sequence[Line], axis: Axis, caption: str, *, legend: bool = True) -> Chart:
    """The lines over one another; without `legend` the page names them elsewhere."""
    keys = tuple(line for line in lines if not line.faint) if legend else ()
    return Chart(_kept_svg(tuple(map(_as_tuples, lines)), axis), caption, keys)


@lru_cache(maxsize=256)
def _kept_svg(lines: tuple[Line, ...], axis: Axis) -> str:
    """As `line_svg`, kept: a report is written after each round, with the charts of all rounds before, and a chart takes some 50 ms."""
    return line_svg(lines, axis)


def _as_tuples(line: Line) -> Line:
    """The line with its numbers as tuples, which can be looked up."""
    low, high = (None if bound is None else _floats(bound) for bound in (line.low, line.high))
    return replace(line, x=_floats(line.x), y=_floats(line.y), low=low, high=high)


def _floats(values: Numbers) -> tuple[float, ...]:
    return tuple(map(float, values))


def line_svg(lines: Sequence[Line], axis: Axis) -> str:
    """The bare SVG element of a line chart."""
    with _style():
        figure = Figure(figsize=_SIZE)
        axes = figure.add_subplot()
        _draw_lines(axes, lines, axis)
        _leave_room(figure, axes)
        return _svg(figure, f"{axis.x}{axis.y}{[line.name for line in lines]}")


def lines_png(panels: Sequence[tuple[Sequence[Line], Axis]], target: Path, *, title: str) -> None:
    """The panels side by side with one legend, as a PNG on white at 150 dpi."""
    with _style(INK="#222222", GRID="#dddddd"):
        figure = Figure(figsize=(4.4 * len(panels), 3.6), layout="constrained")
        figure.suptitle(title)
        for axes, (lines, axis) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            _draw_lines(axes, lines, axis)
        named = {line.name: line for line in panels[0][0] if not line.faint}
        handles = [mpl.lines.Line2D([], [], color=s.color, marker=s.marker, ls="--" if s.dashed else "-") for s in named.values()]
        # A leading underscore would hide an entry from matplotlib's legend.
        figure.legend(handles, [f" {name}" for name in named], loc="outside lower center", ncols=max(1, min(6, len(named))), frameon=False)
        FigureCanvasAgg(figure)
        figure.savefig(target, format="png", dpi=150, facecolor="white")


def heat_chart(values: np.ndarray, names: Sequence[str], caption: str, *, rows: str, columns: str) -> Chart:
    """A square matrix of counts, shaded by its share of the row; the counts are written into up to 13 × 13 cells."""
    return _heat(values, names, names, Axis(columns, rows), caption, least=1.6)


def histogram_chart(values: Mapping[str, Numbers], caption: str, *, rows: str, columns: str, bins: int = 10) -> Chart:
    """One histogram over [0, 1] a row, beneath one another: counts of `values` by row name, shaded by their share of the row."""
    edges = np.linspace(0, 1, bins + 1)
    counts = np.array([np.histogram(np.clip(np.asarray(row, np.float64), 0, 1), edges)[0] for row in values.values()])
    return _heat(counts, list(values), [f"{low:.1f}–{high:.1f}" for low, high in pairwise(edges)], Axis(columns, rows), caption, least=0.4)


def _heat(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], axis: Axis, caption: str, *, least: float) -> Chart:
    """least: inches that the cells take at least, in each direction."""
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    size = (_extent(columns, rows, least), _extent(rows, columns, least))
    most = max(len(rows), len(columns), 1)
    font = float(np.clip(300 / most, 3.5, 8))
    with _style():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(shares, cmap=_HEAT, vmin=0, vmax=1, interpolation="none")
        axes.grid(False)
        axes.set(xlabel=axis.x, ylabel=axis.y)
        axes.set_xticks(range(len(columns)), [_short(name) for name in columns], rotation=90, fontsize=font)
        axes.set_yticks(range(len(rows)), [_short(name) for name in rows], fontsize=font)
        if most <= 13:
            _write_counts(axes, values, shares)
        return Chart(_svg(figure, f"{caption}{[*rows, *columns]}"), caption)


def _extent(along: Sequence[str], across: Sequence[str], least: float) -> float:
    """Inches that the cells of one direction need, with the names of the other direction beside them."""
    return float(np.clip(0.42 * len(along), least, 6)) + 0.45 + _LETTER * max(len(_short(name)) for name in across)


def with_ids_of(svg: str, number: int) -> str:
    """The SVG with ids that belong to chart `number` of a page: two charts of the same lines must not share theirs."""
    return re.sub(r'(?<=[#"])(?=(?:m|p|image)[0-9a-f]{10}\b)', f"chart{number}-", svg)


def _draw_lines(axes: Axes, lines: Sequence[Line], axis: Axis) -> None:
    for line in lines:
        _draw_line(axes, line)
    axes.set(xlabel=axis.x, ylabel=axis.y)
    if axis.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # plain text: the SVG has no mathtext
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(*_limits(lines, axis))
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)  # a factor above the axis would need room of its own
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=axis.whole))


def _leave_room(figure: Figure, axes: Axes) -> None:
    """For what stands beside the lines, reckoned by letters: to measure them, as matplotlib's layouts do, takes half of a chart's time."""
    ticks = axes.yaxis.get_major_formatter().format_ticks(list(axes.yaxis.get_majorticklocs()))
    left, bottom, right, top = 0.37 + _LETTER * max(map(len, ticks), default=0), 0.45, 0.17, 0.1  # inches
    width, height = figure.get_size_inches()
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)


def _draw_line(axes: Axes, line: Line) -> None:
    if line.faint:
        axes.plot(line.x, line.y, color=line.color, linewidth=0.7, alpha=0.4)
        return
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=line.color, alpha=0.12, linewidth=0)
    every = max(1, len(line.x) // 8) if len(line.x) > 12 else 1
    axes.plot(line.x, line.y, color=line.color, marker=line.marker, markevery=every, linestyle="--" if line.dashed else "-")


def _limits(lines: Sequence[Line], axis: Axis) -> tuple[float | None, float | None]:
    """With few seeds a band is many times the height of the lines: the lines decide what is seen, with room for part of the band."""
    values = np.array([value for line in lines for value in line.y if np.isfinite(value)], float)
    if not len(values):
        return axis.bottom, axis.top
    room = 0.12 * max(float(np.ptp(values)), 1e-3)
    bottom = axis.bottom if axis.bottom is not None else float(values.min()) - room
    return bottom, axis.top if axis.top is not None else float(values.max()) + room


def _write_counts(axes: Axes, values: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(values):
        if count:
            color = "#ffffff" if shares[row, column] > 0.55 else INK
            axes.text(column, row, f"{int(count)}", ha="center", va="center", fontsize=7, color=color)


def _short(name: str, length: int = 18) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


@contextmanager
def _style(**colors: str) -> Iterator[None]:
    swap = {INK: colors.get("INK", INK), GRID: colors.get("GRID", GRID)}
    style: dict[Any, Any] = {key: swap.get(value, value) for key, value in _STYLE.items()}
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in any script: the browser has the fonts
        yield


def _svg(figure: Figure, salt: str) -> str:
    """The figure's SVG element, with ids of its own and the page's ink."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", text)
    text = re.sub(r'<svg[^>]*?width="([\d.]+)pt"[^>]*?(viewBox="[^"]*")[^>]*>', _responsive, text, count=1)
    return re.sub(r"\n\s*", "\n", text).replace(INK, "currentColor").replace(GRID, "var(--grid)")


def _responsive(match: re.Match[str]) -> str:
    return f'<svg role="img" {match.group(2)} style="max-width:{float(match.group(1)) * 1.8:.0f}px">'
