"""Pictures of the service over time: verdicts, what came true, nights."""

from datetime import UTC, datetime, time
from itertools import pairwise
from typing import Any

import matplotlib.dates as mdates
from markupsafe import Markup
from matplotlib.axes import Axes

from pima.reporting.drawing import FIRST, MUTED, PAPER, SECOND, as_svg, drawn, percents
from pima.reporting.records import Night, VerdictLine
from pima.watch.realised import Week

_MOST_DATES = 5


def verdicts_picture(verdicts: tuple[VerdictLine, ...], name: str) -> Markup:
    """What challenger and champion got on the rows of each verdict, by the measure that decides today."""
    shown = [each for each in verdicts if each.of_challenger is not None and each.measure == verdicts[0].measure]
    measure = verdicts[0].measure.replace("_", " ")
    with drawn(name) as (figure, axes):
        met = [each for each in shown if each.of_champion is not None]
        champions = [each.of_champion for each in met]
        axes.plot(_days(met), champions, color=SECOND, linestyle="--", marker="s", markersize=3)
        axes.plot(_days(shown), [each.of_challenger for each in shown], color=FIRST, linewidth=1)
        for promoted in (False, True):
            some = [each for each in shown if (each.verdict == "promoted") is promoted]
            values = [each.of_challenger for each in some]
            fill = FIRST if promoted else PAPER
            axes.plot(_days(some), values, "o", color=FIRST, markerfacecolor=fill, markersize=6 if promoted else 4)
        axes.set_ylabel(measure)
        if measure == "accuracy":
            percents(axes, "y")
        _dates(axes, [each.decided_at for each in shown])
        told = f"The {measure} of challenger and champion on the test rows of each verdict"
        return as_svg(figure, "Verdicts over time", f"{told}. Filled marks are promotions.")


def _days(verdicts: list[VerdictLine]) -> list[Any]:
    return [each.decided_at for each in verdicts]


def realised_picture(weeks: tuple[Week, ...], name: str) -> Markup:
    """The share of predictions that came true, by week."""
    shown = [each for each in weeks if each.share is not None]
    with drawn(name) as (figure, axes):
        days = [_noon(each) for each in shown]
        shares = [each.share for each in shown if each.share is not None]
        axes.vlines(
            days, [each.low or 0.0 for each in shares], [each.high or 1.0 for each in shares], color=FIRST, alpha=0.6
        )
        axes.plot(days, [each.value for each in shares], color=FIRST, marker="o", markersize=4, markeredgecolor=PAPER)
        axes.set(ylabel="came true", ylim=(min([0.5, *(each.low or 0.0 for each in shares)]) - 0.02, 1.02))
        percents(axes, "y")
        _dates(axes, days)
        return as_svg(figure, "Predictions that came true", "The share by week, with its 95 % interval.")


def _noon(week: Week) -> datetime:
    return datetime.combine(week.monday, time(12), UTC)


def nights_picture(nights: tuple[Night, ...], name: str) -> Markup:
    """Rows that each night predicted and rejected, and how long it took."""
    started = [each.started_at for each in nights]
    places: list[Any] = mdates.date2num(started).tolist()  # type: ignore[no-untyped-call]
    width = max(0.02, min(0.8, 0.8 * _closest(places)))
    with drawn(name, rows=2, height=3.4, sharex=True, height_ratios=(2, 1)) as (figure, (above, below)):
        predicted = [each.predicted for each in nights]
        above.bar(places, predicted, width=width, color=FIRST)
        above.bar(places, [each.rejected for each in nights], width=width, bottom=predicted, color=SECOND)
        above.set_ylabel("rows")
        below.plot(places, [each.seconds for each in nights], "o", markersize=3, color=FIRST)
        below.set(ylabel="seconds", ylim=(0, 1.2 * max(each.seconds for each in nights) + 0.1))
        below.axhline(0, color=MUTED, linewidth=0.8)
        _dates(below, started)
        told = "Above, the rows that each run of scoring predicted and rejected; below, how many seconds it took"
        return as_svg(figure, "Nights", f"{told}.")


def _closest(places: list[float]) -> float:
    """Days between the two runs that are closest to each other."""
    ordered = sorted(places)
    gaps = [later - earlier for earlier, later in pairwise(ordered) if later > earlier]
    return min(gaps, default=1.0)


def _dates(axes: Axes, moments: list[datetime]) -> None:
    """Few enough marks that they never meet, by day or, of a short while, by the time of day."""
    seconds = (max(moments) - min(moments)).total_seconds() if moments else 0.0
    axes.xaxis_date(tz=UTC)
    words = "%d %b" if seconds > 3 * 86_400 else "%H:%M" if seconds > 600 else "%H:%M:%S"
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(UTC, 2, _MOST_DATES))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(mdates.DateFormatter(words, UTC))  # type: ignore[no-untyped-call]
