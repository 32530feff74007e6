"""Pictures as SVG within the page, drawn by matplotlib in the colours and fonts of the page's style
sheet.

Templates call each by its name.

Each colour is a mark that becomes a variable of the style sheet, so that one picture serves light
and dark; texts stay texts. No picture depends on when or where it is drawn. First come the pictures
of the evidence beside a verdict, then those of the service over time, then the functions that draw
them.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import groupby, pairwise
from typing import Any

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pima.core.statistics.estimates import Estimate
from pima.core.verdicts.contest import Role
from pima.core.verdicts.evidence import shown_bounds
from pima.report.contents import Exhibit, calibration, distribution, roc
from pima.store.models.ledger import Move
from pima.watch.overview import NightRun
from pima.watch.weeks import Week

# Marks: colours that no style sheet uses.
INK = "#010101"
MUTED = "#010102"
GRID = "#010103"
FIRST = "#010104"
SECOND = "#010105"
PAPER = "#010106"
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    FIRST: "first",
    SECOND: "second",
    PAPER: "paper",
}

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
_LINES: tuple[Any, ...] = (
    {"color": FIRST, "linestyle": "-"},
    {"color": SECOND, "linestyle": "--"},
)
_DOTS: Any = {"color": FIRST, "marker": "o", "linestyle": "none"}
_MARKED: Any = {"marker": "o", "markersize": 4, "markeredgecolor": PAPER}
MOST_LINES_DRAWN = 60


@contextmanager
def _square(name: str, x: str, y: str) -> Iterator[tuple[Figure, Any]]:
    """Make a figure of two shares, with the diagonal."""
    with drawn(name) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=x, ylabel=y)
        percents(axes, "x")
        percents(axes, "y")
        yield figure, axes


def roc_picture(found: Exhibit, name: str) -> Markup:
    """Draw sensitivity over 1 - specificity, for both models."""
    with _square(name, "1 - specificity", "sensitivity") as (figure, axes):
        for model, line in zip(found.models, _LINES, strict=False):
            points = [(x, y) for _, x, y in roc(found.evidence, model)]
            _plot(axes, points, **line)
        told = (
            "ROC curves: the share of rows with the outcome that is found, against the "
            "share of false alarms, at each threshold. The diagonal is guessing."
        )
        return as_svg(figure, "ROC curve", told)


def calibration_picture(found: Exhibit, name: str) -> Markup:
    """Draw observed over predicted shares, in groups of similar probability."""
    with _square(name, "predicted", "observed") as (figure, axes):
        for model, line in zip(found.models, _LINES, strict=False):
            groups = calibration(found.evidence, model)
            xs = [each.predicted for each in groups]
            if model is found.first:
                _intervals(axes, xs, [each.observed for each in groups])
            axes.plot(xs, [each.observed.value or 0.0 for each in groups], **line, **_MARKED)
        told = (
            "Calibration: the share of rows with the outcome among those of like predicted "
            "probability. On the diagonal the probabilities hold."
        )
        return as_svg(figure, "Calibration", told)


def decision_picture(found: Exhibit, name: str) -> Markup:
    """Draw net benefit over the thresholds, beside treating all and none."""
    evidence = found.evidence
    with drawn(name) as (figure, axes):
        axes.axhline(0, color=MUTED, linewidth=1)
        everybody = [100 * value for value in evidence.treat_all.net_benefit]
        axes.plot(evidence.thresholds, everybody, color=MUTED, linewidth=1.2, linestyle=":")
        for model, line in zip(found.models, _LINES, strict=False):
            steps = shown_bounds(evidence, model)
            curve = zip(evidence.thresholds, model.net_benefit.net_benefit, strict=True)
            points = [(at, 100 * value) for at, value in curve if at in steps]
            _plot(axes, points, **line)
        highest = 100 * evidence.positive / evidence.rows
        axes.set(xlim=(0, 1), ylim=(-0.15 * highest - 0.5, 1.1 * highest + 0.5), xlabel="threshold")
        axes.set_ylabel("net benefit, cases per 100")
        percents(axes, "x")
        told = (
            "Decision curves: cases found per hundred rows, less the false alarms, weighted "
            "by the threshold, beside treating all and treating none."
        )
        return as_svg(figure, "Net benefit", told)


def distribution_picture(found: Exhibit, name: str) -> Markup:
    """Draw the first model's probabilities: of rows with the outcome above the line, and of the
    others below."""
    tenths = distribution(found.evidence, found.first)
    middles = [(each.low + each.high) / 2 for each in tenths]
    with drawn(name) as (figure, axes):
        widths = [each.high - each.low - 0.015 for each in tenths]
        axes.bar(middles, [each.cases for each in tenths], width=widths, color=FIRST)
        axes.bar(middles, [-each.others for each in tenths], width=widths, color=SECOND)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.axvline(found.first.threshold, color=MUTED, linewidth=1, linestyle="--")
        axes.set(xlim=(0, 1), xlabel="predicted probability", ylabel="rows")
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        percents(axes, "x")
        told = (
            "How many rows with the outcome (above the line) and without it (below) got "
            "which probability. The dashed line is the threshold."
        )
        return as_svg(figure, "Distribution of the probabilities", told)


def has_areas(found: Exhibit) -> bool:
    """Whether there is anything to draw by subgroup: with outcomes of one class there is not."""
    return next(_lines_of_subgroups(found), None) is not None


def subgroup_picture(found: Exhibit, name: str) -> Markup:
    """Draw the first model's area under ROC and its interval for each subgroup that has one, by
    feature."""
    lines = list(_lines_of_subgroups(found))[:MOST_LINES_DRAWN]
    with drawn(name, height=max(HEIGHT_INCHES, 0.6 + 0.19 * len(lines))) as (figure, axes):
        overall = found.first.auroc.value
        if overall is not None:
            axes.axvline(overall, color=MUTED, linewidth=1, linestyle="--")
        for is_few in (False, True):
            areas = [
                (line.area, n)
                for n, line in enumerate(lines)
                if line.area and line.is_few is is_few
            ]
            with_interval = [(n, area.low, area.high) for area, n in areas if area.low is not None]
            if with_interval:
                axes.hlines(*zip(*with_interval, strict=True), color=FIRST, linewidth=1.2)
            fill = PAPER if is_few else FIRST
            points = [(area.value, n) for area, n in areas]
            _plot(axes, points, **_DOTS, ms=4, mfc=fill)
        axes.set_yticks(range(len(lines)), [short(line.label) for line in lines])
        for label, line in zip(axes.get_yticklabels(), lines, strict=True):
            label.set_fontweight("normal" if line.area else "bold")
        lows = [line.area.low or line.area.value or 0.0 for line in lines if line.area]
        axes.set(
            ylim=(len(lines) - 0.4, -0.6), xlim=(min(0.45, *lows, 1), 1.01), xlabel="area under ROC"
        )
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        told = (
            "How well the model tells rows apart within each subgroup, with its 95 % interval. "
            "Hollow marks: fewer than 50 rows. Dashed: all rows."
        )
        return as_svg(figure, "Subgroups", told)


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    area: Estimate | None = None
    is_few: bool = False


def _lines_of_subgroups(found: Exhibit) -> Iterator[_Line]:
    for feature, groups in groupby(found.evidence.subgroups, lambda one: one.feature):
        models = [(each, each.of(found.first.role)) for each in groups]
        shown = [
            _Line(each.group, model.auroc, bool(each.few))
            for each, model in models
            if model and model.auroc.value is not None
        ]
        if shown:
            yield _Line(found.evidence.called(feature))
        yield from shown


def short(label: str) -> str:
    """Shorten a label to fit beside a picture."""
    return label if len(label) <= 30 else f"{label[:29].rstrip()}…"


def leaning_picture(moves: tuple[tuple[str, float], ...], name: str) -> Markup:
    """Draw how much each feature moves the probabilities, on average."""
    shown = moves[:MOST_LINES_DRAWN]
    height = max(1.8, 0.6 + 0.24 * len(shown))
    with drawn(name, height=height) as (figure, axes):
        axes.barh(
            np.arange(len(shown)), [100 * value for _, value in shown], height=0.6, color=FIRST
        )
        axes.set_yticks(range(len(shown)), [short(each.replace("_", " ")) for each, _ in shown])
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel="points of probability")
        axes.grid(visible=False, axis="y")
        told = "How far each feature moves a row's probability, on average."
        return as_svg(figure, "What the model leans on", told)


def verdicts_picture(verdicts: tuple[Move, ...], name: str) -> Markup:
    """Draw the figures that were compared in each verdict, by the measure that decides today."""
    judged = Role.CHALLENGER
    found = [(each, each.figures) for each in verdicts if each.figures is not None]
    today = found[0][1].measure
    shown = [
        (each, figures.by_role)
        for each, figures in found
        if judged in figures.by_role and figures.measure is today
    ]
    days = [each.decided_at for each, _ in shown]
    measure = today.replace("_", " ")
    with drawn(name) as (figure, axes):
        for role in Role:
            if role is judged:
                continue
            met = [(each.decided_at, told[role]) for each, told in shown if role in told]
            _plot(axes, met, **_LINES[1], marker="s", markersize=3)
        axes.plot(days, [told[judged] for _, told in shown], color=FIRST, linewidth=1)
        for promoted, fill, size in ((False, PAPER, 4), (True, FIRST, 6)):
            some = [
                (each.decided_at, told[judged])
                for each, told in shown
                if (each.verdict == "promoted") is promoted
            ]
            _plot(axes, some, **_DOTS, ms=size, mfc=fill)
        axes.set_ylabel(measure)
        if measure == "accuracy":
            percents(axes, "y")
        _dates(axes, days)
        what = f"The {measure} of the versions compared, on the test rows of each verdict"
        return as_svg(figure, "Verdicts over time", f"{what}. Filled marks are promotions.")


def realised_picture(weeks: tuple[Week, ...], name: str) -> Markup:
    """Draw the share of predictions that came true, by week."""
    shown = [(each.monday, each.share) for each in weeks if each.share is not None]
    with drawn(name) as (figure, axes):
        days = [datetime.combine(monday, time(12), UTC) for monday, _ in shown]
        lowest = _intervals(axes, days, [share for _, share in shown])
        axes.plot(days, [share.value for _, share in shown], color=FIRST, **_MARKED)
        axes.set(ylabel="came true", ylim=(min(0.5, lowest) - 0.02, 1.02))
        percents(axes, "y")
        _dates(axes, days)
        return as_svg(
            figure, "Predictions that came true", "The share by week, with its 95 % interval."
        )


def nights_picture(nights: tuple[NightRun, ...], name: str) -> Markup:
    """Draw the rows that each night predicted and rejected, and how long it took."""
    started = [each.started_at for each in nights]
    places = mdates.date2num(started).tolist()  # type: ignore[no-untyped-call]
    # Bars are as wide as the distance of the two closest runs allows, in days.
    gaps = [later - earlier for earlier, later in pairwise(sorted(places)) if later > earlier]
    width = max(0.02, min(0.8, 0.8 * min(gaps, default=0.0)))
    with drawn(name, rows=2, height=3.4, sharex=True, height_ratios=(2, 1)) as (
        figure,
        (above, below),
    ):
        predicted = [each.predicted for each in nights]
        above.bar(places, predicted, width=width, color=FIRST)
        above.bar(
            places,
            [each.rejected for each in nights],
            width=width,
            bottom=predicted,
            color=SECOND,
        )
        above.set_ylabel("rows")
        below.plot(places, [each.seconds for each in nights], "o", markersize=3, color=FIRST)
        below.set(ylabel="seconds", ylim=(0, 1.2 * max(each.seconds for each in nights) + 0.1))
        below.axhline(0, color=MUTED, linewidth=0.8)
        _dates(below, started)
        told = (
            "Above, the rows that each run of scoring predicted and rejected; below, how "
            "many seconds it took."
        )
        return as_svg(figure, "Nights", told)


def _intervals(axes: Axes, places: Sequence[Any], shares: Sequence[Estimate]) -> float:
    """Draw the intervals of shares, and return the lowest bound."""
    lows = [share.low or 0.0 for share in shares]
    axes.vlines(places, lows, [share.high or 1.0 for share in shares], color=FIRST, alpha=0.6)
    return min(lows)


def _plot(axes: Axes, points: Sequence[tuple[Any, Any]], **style: Any) -> None:
    axes.plot([x for x, _ in points], [y for _, y in points], **style)


_HALF_AN_HOUR = timedelta(minutes=30)


def _dates(axes: Axes, moments: list[datetime]) -> None:
    """Set so few ticks that they never overlap, and with so much of the date that all differ."""
    if not moments:
        return
    first = min(moments)
    last = max(moments)
    words = "%H:%M\n%d %b"
    if last - first > timedelta(days=300):
        words = "%b %Y"
    elif last - first > timedelta(days=3):
        words = "%d %b"
    elif last - first < _HALF_AN_HOUR:
        # A single moment would stand in the middle of four years.
        axes.set(xlim=(first - _HALF_AN_HOUR, last + _HALF_AN_HOUR))
    axes.xaxis_date(tz=UTC)
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(UTC, 2, 5))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(mdates.DateFormatter(words, UTC))  # type: ignore[no-untyped-call]


@contextmanager
def drawn(
    name: str, rows: int = 1, height: float = HEIGHT_INCHES, **shared: Any
) -> Iterator[tuple[Figure, Any]]:
    """Make a figure and its axes in the report's style; `name` keeps its ids apart from other
    pictures'."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(4.2, height), layout="constrained")
        yield figure, figure.subplots(rows, 1, **shared)


def as_svg(figure: Figure, title: str, description: str) -> Markup:
    """Write the picture as SVG, with a title and a description for screen readers."""
    sink = io.StringIO()
    with warnings.catch_warnings():
        # The browser has the letters, even if the font that they are measured by here lacks some.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # Unlike savefig, this does not draw all of it twice: the layout is done in the same
        # drawing.
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(sink, metadata=no_metadata)  # type: ignore[no-untyped-call]
    told = Markup("<title>{}</title><desc>{}</desc>").format(title, description)
    box = f"0 0 {72 * figure.get_figwidth():g} {72 * figure.get_figheight():g}"
    start = Markup(
        '<svg role="img" viewBox="{}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    ).format(box)
    # Matplotlib escapes the texts in a picture.
    return start + told + Markup(_inner(sink.getvalue()))  # noqa: S704


def _inner(svg: str) -> str:
    """Take the content of the outermost element, without ids that other pictures have, too."""
    inner = re.sub(r".*?<svg[^>]*>", "", svg, count=1, flags=re.DOTALL)
    # The picture's style would apply to the whole page.
    inner = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", inner, flags=re.DOTALL)
    inner = re.sub(r'<g id="[^"]*"', "<g", inner)
    inner = inner.replace("font-family: 'DejaVu Sans'; ", "")
    for mark, variable in _VARIABLES.items():
        inner = inner.replace(mark, f"var(--{variable})")
    # Coordinates are rounded to a hundredth of a point, finer than anyone sees; numbers in texts
    # stay as they are.
    return re.sub(
        r"<[^>]+>",
        lambda tag: re.sub(r"\d+\.\d{3,}", _rounded, tag[0]),
        re.sub(r"\n\s*", "\n", inner),
    )


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"


def percents(axes: Axes, which: str) -> None:
    """Show shares as percents on an axis whose limits are set."""
    axis: Axis = axes.yaxis
    if which == "x":
        axis = axes.xaxis
    low, high = axis.get_view_interval()
    # On a short range, ticks in whole percents would not all differ.
    decimals = 0 if high - low > 0.09 else 1
    axis.set_major_formatter(PercentFormatter(1.0, decimals, symbol=" %"))
