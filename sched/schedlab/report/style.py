"""How plots look: one palette, line styles beside colours, axes with human time.

Figures are made without pyplot, so that drawing one leaves no global state behind. Colours are
Okabe and Ito's, told apart by colour-blind readers ("Color Universal Design", 2008); its black is
left to text and axes, and its yellow comes last because it is weak on white.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, MultipleLocator, NullLocator

from schedlab.report.formatting import format_duration, shorten, time_unit

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PALETTE: tuple[str, ...] = (
    BLUE,
    VERMILLION,
    GREEN,
    "#CC79A7",  # reddish purple
    "#E69F00",  # orange
    "#56B4E9",  # sky blue
    "#8A8A8A",  # grey
    "#F0E442",  # yellow
)
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (9, 2)),
)
MARKERS: tuple[str, ...] = ("o", "s", "D", "^", "v", "P", "X", "*")
INK = "#1f2328"
"""Colour of text and axes; the HTML report replaces it by the colour of the page's text."""
GREY = "#8A8A8A"
NOTE_SIZE = 8

_SHORT_TICKS_S = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
_LONG_TICKS_S = (60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 10 * 86400.0, 100 * 86400.0)
_DURATION_TICKS_S = (*_SHORT_TICKS_S, *_LONG_TICKS_S)

_TIME_STEPS: dict[str, tuple[float, ...]] = {
    "s": (0.25, 0.5, 1, 2, 5, 10, 15, 20, 30),
    "min": (0.25, 0.5, 1, 2, 5, 10, 15, 20, 30),
    "h": (0.25, 0.5, 1, 2, 3, 4, 6, 12),
    "d": (0.25, 0.5, 1, 2, 5, 7, 14, 28, 60, 100),
}


class SeriesStyle:
    """Colour, dashes and marker of each scheduler, the same in every plot of a report."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names: tuple[str, ...] = tuple(dict.fromkeys(names))

    def color(self, name: str) -> str:
        """Return the colour of a scheduler."""
        return PALETTE[self.names.index(name) % len(PALETTE)]

    def dashes(self, name: str) -> str | tuple[int, tuple[float, ...]]:
        """Return its line style."""
        return DASHES[self.names.index(name) % len(DASHES)]

    def marker(self, name: str) -> str:
        """Return its marker."""
        return MARKERS[self.names.index(name) % len(MARKERS)]


def axes_for(ax: Axes | None, width: float = 7.2, height: float = 3.4) -> Axes:
    """Return *ax*, or the axes of a new figure of *width* x *height* inches, styled."""
    if ax is None:
        figure = Figure(figsize=(width, height), layout="constrained")
        ax = figure.add_subplot()
    dress(ax)
    return ax


def dress(ax: Axes) -> None:
    """Give axes the ink, the spines and the grid of every plot."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(INK)
        ax.spines[side].set_linewidth(0.8)
    ax.tick_params(colors=INK, labelsize=9)
    ax.grid(True, color=GREY, alpha=0.3, linewidth=0.6)
    ax.set_axisbelow(True)


def title(ax: Axes, text: str, note: str = "") -> None:
    """Set a title at the left, with a smaller line of explanation below it."""
    ax.set_title(text, loc="left", fontsize=11, fontweight="bold", color=INK, pad=18 if note else 8)
    if note:
        ax.annotate(
            note,
            (0, 1),
            (0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=NOTE_SIZE,
            color=INK,
            alpha=0.8,
            va="bottom",
            annotation_clip=False,
        )


def labels(ax: Axes, x: str = "", y: str = "") -> None:
    """Set axis labels."""
    ax.set_xlabel(x, fontsize=9.5, color=INK)
    ax.set_ylabel(y, fontsize=9.5, color=INK)


def legend(ax: Axes, *, always: bool = False) -> None:
    """Add a legend: beside the axes where the figure's layout makes room, else inside."""
    handles, names = ax.get_legend_handles_labels()
    if not handles or (len(handles) == 1 and not always):
        return
    short = [shorten(name) for name in names]
    look = {"fontsize": 9, "labelcolor": INK, "handlelength": 3.0}
    figure = ax.get_figure(root=True)
    if figure and isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        ax.legend(handles, short, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, **look)
    else:
        ax.legend(handles, short, loc="best", framealpha=0.8, **look)


def nothing_to_show(ax: Axes, text: str) -> None:
    """Say in the middle of the axes why they are empty."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    ax.text(
        0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color=INK, fontsize=10
    )


def time_axis(ax: Axes, end_us: float) -> float:
    """Label the x axis as simulated time and return microseconds per unit of the axis."""
    unit, length = time_unit(end_us / 1e6)
    labels(ax, f"simulated time ({unit})", ax.get_ylabel())
    end = max(end_us / 1e6 / length, 1e-9)
    step = next((step for step in _TIME_STEPS.get(unit, ()) if end / step <= 8.01), None)
    ax.xaxis.set_major_locator(MultipleLocator(step) if step else MaxNLocator(nbins=8))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlim(0, end)
    return length * 1e6


def duration_axis(ax: Axes, low_s: float, high_s: float) -> None:
    """Make the x axis logarithmic from *low_s* to *high_s* seconds, with ticks as 10 ms, 1 min."""
    ax.set_xscale("log")
    ax.set_xlim(low_s, max(high_s, low_s * 10))
    ticks = [tick for tick in _DURATION_TICKS_S if low_s * 0.999 <= tick <= high_s * 1.001]
    if len(ticks) < 3:
        finer = [m * 10.0**e for e in range(-6, 8) for m in (1, 2, 5)]
        ticks = [tick for tick in finer if low_s * 0.999 <= tick <= high_s * 1.001] or ticks
    thinned = ticks if len(ticks) <= 9 else ticks[:: math.ceil(len(ticks) / 9)]
    ax.xaxis.set_major_locator(FixedLocator(thinned))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_duration(value)))


def decade_below(values: Sequence[float], floor: float = 1e-3) -> float:
    """Return the power of ten at or below the smallest value, but not below *floor*."""
    smallest = min(values, default=floor)
    return max(10.0 ** math.floor(math.log10(smallest)) if smallest > 0 else floor, floor)
