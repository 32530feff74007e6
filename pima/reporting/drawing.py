"""Pictures as SVG within the page: drawn by matplotlib, in colours and letters that the page's style sheet decides.

Each colour is a mark that becomes a variable of the style sheet, so that one picture serves light and dark; texts stay
texts. Nothing in a picture depends on when or where it is drawn.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

# Marks, which stand in no style sheet.
INK = "#010101"
MUTED = "#010102"
GRID = "#010103"
FIRST = "#010104"
SECOND = "#010105"
PAPER = "#010106"
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", FIRST: "first", SECOND: "second", PAPER: "paper"}

_NO_METADATA: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))

WIDTH_INCHES = 4.2
HEIGHT_INCHES = 3.0
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "font.family": ["DejaVu Sans"],
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.parse_math": False,
}


@contextmanager
def drawn(name: str, rows: int = 1, height: float = HEIGHT_INCHES, **shared: Any) -> Iterator[tuple[Figure, Any]]:
    """A figure and its axes, in the report's look; `name` keeps its inner names apart from other pictures'."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        yield figure, figure.subplots(rows, 1, **shared)


def as_svg(figure: Figure, title: str, description: str) -> Markup:
    """The picture, with what a screen reader says of it."""
    sink = io.StringIO()
    with warnings.catch_warnings():
        # The reader's browser has the letters, whatever the font by which they are measured here.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # Like savefig, but for its drawing all of it once before, to lay it out: that is done in this drawing too.
        FigureCanvasSVG(figure).print_svg(sink, metadata=_NO_METADATA)  # type: ignore[no-untyped-call]
    told = Markup("<title>{}</title><desc>{}</desc>").format(title, description)
    box = f"0 0 {72 * figure.get_figwidth():g} {72 * figure.get_figheight():g}"
    start = Markup('<svg role="img" viewBox="{}" xmlns:xlink="http://www.w3.org/1999/xlink">').format(box)
    # Matplotlib escapes what stands in a picture.
    return start + told + Markup(_inner(sink.getvalue()))  # noqa: S704


def _inner(svg: str) -> str:
    """What is within the outermost element, without names that other pictures have too."""
    inner = re.sub(r".*?<svg[^>]*>", "", svg, count=1, flags=re.DOTALL)
    # Its style would be the whole page's.
    inner = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", inner, flags=re.DOTALL)
    inner = re.sub(r'<g id="[^"]*"', "<g", inner)
    inner = inner.replace("font-family: 'DejaVu Sans'; ", "")
    for mark, variable in _VARIABLES.items():
        inner = inner.replace(mark, f"var(--{variable})")
    # A hundredth of a point is finer than anybody sees; texts keep their figures.
    return re.sub(r"<[^>]+>", lambda tag: re.sub(r"\d+\.\d{3,}", _rounded, tag[0]), re.sub(r"\n\s*", "\n", inner))


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"


def percents(axes: Axes, which: str) -> None:
    """Shares as percents on an axis, whose limits are set."""
    axis, (low, high) = (axes.xaxis, axes.get_xlim()) if which == "x" else (axes.yaxis, axes.get_ylim())
    # As many marks as there are would not all differ in whole percents.
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0 if high - low > 0.09 else 1, symbol=" %"))
