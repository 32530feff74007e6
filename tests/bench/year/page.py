"""docs/measured/year.md, written from what was lived through and simulated; no figure in it is
typed by hand."""

from collections.abc import Sequence
from statistics import fmean, mean, median, quantiles, stdev
from typing import Any

from tests.bench.gate.page import filled, table
from tests.bench.year.page_by_seed import AFTER_SEEDS, SEEDS
from tests.bench.year.page_of_weeks import OF_WEEKS, SHOWN, apart, decay_of, two, weeks_of
from tests.bench.year.population import LATE_OR_NEVER, SLOW_DECAY
from tests.bench.year.simulation import (
    LOOKED_AT,
    Simulated,
    first_fits_mean,
    mean_on_each_day,
)
from tests.support.shipped import ROOT

PAGE = ROOT / "docs" / "measured" / "year.md"
SIMULATED = ("early, 7 %", "early, 35 %", "backlog, 35 %")
Simulations = dict[tuple[str, bool], list[Simulated]]
"""By a clinic's name, and whether only settled outcomes count."""
_EXPECTED = ("champion_changed", "verdict_blocked")
"""News, and no alarms."""
_OF_CORRECTIONS = "corrected_after_outcome"


def page(
    lived: Sequence[dict[str, Any]],
    by_seed: str,
    simulated: Simulations,
    fits: dict[str, list[float]],
    minutes: tuple[float, float],
) -> str:
    """All of it."""
    parts = [
        "# A half year of made-up clinics",
        "\n".join(f"- {each}" for each in _said_first(lived, simulated, fits)),
        _HOW.format(*minutes),
        "## What is shown, beside what is true",
        SHOWN,
        table(OF_WEEKS, [row for each in _followed_up(lived) for row in weeks_of(each)]),
        "## Slow decay",
        *(decay_of(each) for each in lived if each["clinic"] == SLOW_DECAY.name),
        "## What was told, and when",
        _TOLD,
        table(_OF_ALARMS, [row for each in lived for row in _alarms(each)]),
        "## First fits",
        table(_OF_FITS, [_first_fit(each) for each in lived if each["first_fit"]]),
        _OTHER_HISTORIES,
        table(_OF_OTHERS, [_of_others(*each) for each in fits.items()]),
        "## Promotions, and what they are worth",
        _WORTH,
        table(_OF_MOVES, [_moves(each) for each in lived]),
        "## Outcomes that come late or never, and alarms that are easily false or lost",
        _LATE,
        table(_OF_LATE, [_late(each) for each in lived if each["clinic"] in _LATE_CLINICS]),
        "## Hindsight",
        _HINDSIGHT,
        table(_OF_HINDSIGHT, [_hindsight(each) for each in lived if each["has_hindsight"]]),
        by_seed,
        AFTER_SEEDS,
        _SIMULATION.format(clinics=len(next(iter(simulated.values())))),
        table(_OF_MANY, [_many(*each) for each in simulated.items()]),
        "## What it does not show",
        _LIMITS,
    ]
    written = (part if part.startswith(("|", SEEDS)) else filled(part) for part in parts if part)
    return "\n\n".join(part.strip() for part in written) + "\n"


def _said_first(
    lived: Sequence[dict[str, Any]], simulated: Simulations, fits: dict[str, list[float]]
) -> list[str]:
    most = max((apart(each, "observed_expected") for each in _followed_up(lived)), default=0.0)
    false = sum(len(_false_alarms(each)) for each in lived)
    moves = [move for each in lived for move in _promotions(each)]
    worse = [move for move in moves if move["gain"] < 0]
    settled = [mean for name in SIMULATED for mean, _ in mean_on_each_day(simulated[name, True])]
    first_fits = [fmean(ratios) for ratios in fits.values()]
    longest = max(each["nights"] for each in lived) // 7
    shown = (
        f"{len(lived)} clinics whose truth is known live for up to {longest} weeks by the real "
        f"commands. Observed/expected on top of `status` lies at most {most:.3f} from what the same "
        "predictions have once all of their outcomes are known."
    )
    many = (
        f"Over simulated clinics the mean observed/expected is {min(settled):.2f} to "
        f"{max(settled):.2f} from day {LOOKED_AT[0]} on."
    )
    first = (
        f"Over many histories first fits predict {min(first_fits):.3f} to {max(first_fits):.3f} of "
        "what becomes of their training rows, in the mean."
    )
    alarms = f"{false} alarms were false: told where nothing had changed."
    apart_by = max((_verdict_apart(each) for each in lived), default=0.0)
    verdicts = (
        f"The AUROC of a verdict lies at most {apart_by:.4f} from that of what the clinic had "
        "written down when the same rows were predicted."
    )
    better = f"{len(moves) - len(worse)} of {len(moves)} promotions are truly better."
    return [shown, f"{alarms} {better}", verdicts, many, first]


def _followed_up(lived: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The clinics whose outcomes all come on their day."""
    return [each for each in lived if each["clinic"] not in _LATE_CLINICS]


# ---- Alarms.

_OF_ALARMS = ("clinic", "first told on day", "after so many outcomes", "what", "messages", "false")


def _alarms(lived: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for name in dict.fromkeys(each["title"] for each in _told(lived)):
        told = [each for each in _told(lived) if each["title"] == name]
        is_false = "yes" if told[0] in _false_alarms(lived) else ""
        first = told[0]
        rows.append(
            (
                lived["clinic"],
                str(first["night"]),
                str(first["settled"]),
                f"`{name}`",
                str(len(told)),
                is_false,
            )
        )
    return rows or [(lived["clinic"], "never", "", "", "0", "")]


def _told(lived: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages of alarms, without news of verdicts and of what is over."""
    return [
        each
        for each in lived["told"]
        if not each["title"].startswith(_EXPECTED) and not each["title"].endswith("is over")
    ]


def _false_alarms(lived: dict[str, Any]) -> list[dict[str, Any]]:
    """What was told where nothing had changed, or before it did."""
    told = _told(lived)
    if lived["has_hindsight"]:
        told = [each for each in told if each["title"] != _OF_CORRECTIONS]
    told = [
        each for each in told if not each["title"].startswith(_TRUE_IN.get(lived["clinic"], "-"))
    ]
    changes_on = lived["changes_on"]
    return [each for each in told if changes_on is None or each["night"] < changes_on]


# ---- Fits and promotions.

_OF_FITS = (
    "clinic",
    "training rows",
    "mean prediction",
    "of these days' visits so many have the outcome",
    "ratio",
)


def _first_fit(lived: dict[str, Any]) -> tuple[str, ...]:
    fit = lived["first_fit"]
    ratio = fit["mean"] / fit["prevalence"]
    return (
        lived["clinic"],
        str(fit["rows"]),
        f"{fit['mean']:.4f}",
        f"{fit['prevalence']:.4f}",
        f"{ratio:.3f}",
    )


_OF_OTHERS = (
    "clinic",
    "histories",
    "mean ratio",
    "its 95 % interval",
    "one history in ten is below",
    "one in ten is above",
)


def _of_others(name: str, ratios: Sequence[float]) -> tuple[str, ...]:
    middle = fmean(ratios)
    margin = 1.96 * stdev(ratios) / len(ratios) ** 0.5
    *tenths, highest = quantiles(ratios, n=10)
    return (
        name,
        str(len(ratios)),
        f"{middle:.3f}",
        f"{middle - margin:.3f} to {middle + margin:.3f}",
        f"{tenths[0]:.3f}",
        f"{highest:.3f}",
    )


_OF_MOVES = (
    "clinic",
    "verdicts",
    "promoted",
    "truly better",
    "gains in thousandths of log loss: median",
    "least",
    "last true AUROC",
)


def _moves(lived: dict[str, Any]) -> tuple[str, ...]:
    gains = [1000 * move["gain"] for move in _promotions(lived)]
    better = sum(gain > 0 for gain in gains)
    last = next((move["true_auroc"] for move in reversed(lived["moves"])), None)
    return (
        lived["clinic"],
        str(len(lived["moves"])),
        str(len(gains)),
        str(better),
        f"{median(gains):+.1f}" if gains else "",
        f"{min(gains):+.1f}" if gains else "",
        two(last),
    )


def _promotions(lived: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that took another champion's place."""
    return [
        move
        for move in lived["moves"]
        if move["verdict"] == "promoted" and move["gain"] is not None
    ]


# ---- Outcomes that come late or never.

_LATE_CLINICS = {clinic.name for clinic in LATE_OR_NEVER}
_TRUE_IN = {
    "zeros by quarter, 35 %": ("hardly_followed_up", "followed_up_below_usual", "retrain_failed"),
    # Without a model no row is scored, and each job says so.
    "lost zeros, 7 %": ("hardly_followed_up", "retrain_", "score_", "queue_old"),
}
"""What is rightly told in a clinic without a change."""
_OF_LATE = (
    "clinic",
    "promoted",
    "truly worse",
    "mean prediction at the end",
    "true",
    "called",
    "truly above the threshold",
    "what was told, and on which share of the nights after it was first told",
)


def _late(lived: dict[str, Any]) -> tuple[str, ...]:
    gains = [move["gain"] for move in _promotions(lived)]
    last = lived["last"]
    figures = ["no model", "", "", ""]
    if last is not None:
        names = ("predicted", "true", "called", "truly_above")
        figures = [f"{last[name]:.3f}" for name in names]
    told = []
    for title in dict.fromkeys(each["title"] for each in _told(lived)):
        nights = [each["night"] for each in _told(lived) if each["title"] == title]
        after = lived["nights"] - nights[0]
        share = f": {100 * (len(nights) - 1) / after:.0f} %" if after else ""
        told.append(f"`{title}`{share}")
    return (
        lived["clinic"],
        str(len(gains)),
        str(sum(gain < 0 for gain in gains)),
        *figures,
        ", ".join(told) or "nothing",
    )


# ---- Hindsight.

_OF_HINDSIGHT = (
    "clinic",
    "corrected at last: of the 1s",
    "of the 0s",
    "told on day",
    "mean AUROC of the verdicts",
    "of the same rows as they were predicted on",
    "true",
)


def _hindsight(lived: dict[str, Any]) -> tuple[str, ...]:
    moves = _with_area(lived)
    last = moves[-1]["corrected"]
    told = (each["night"] for each in lived["told"] if each["title"] == _OF_CORRECTIONS)
    areas = ("auroc", "auroc_as_recorded", "true_auroc")
    return (
        lived["clinic"],
        f"{last['ones']:,} of {last['of_ones']:,}",
        f"{last['zeros']:,} of {last['of_zeros']:,}",
        str(next(told, "never")),
        *(f"{mean(move[name] for move in moves):.3f}" for name in areas),
    )


def _with_area(lived: dict[str, Any]) -> list[dict[str, Any]]:
    return [move for move in lived["moves"] if move["auroc"] is not None]


def _verdict_apart(lived: dict[str, Any]) -> float:
    """How far a verdict's area was at most from that of the rows as they were predicted on."""
    apart = (abs(move["auroc"] - move["auroc_as_recorded"]) for move in _with_area(lived))
    return max(apart, default=0.0)


# ---- The simulation.

_OF_MANY = (
    "clinics",
    "outcomes count",
    "first fits",
    *(f"day {day}: observed/expected (clinics)" for day in LOOKED_AT),
)


def _many(key: tuple[str, bool], found: Sequence[Simulated]) -> tuple[str, ...]:
    name, is_settled_only = key
    counts = "once settled" if is_settled_only else "as soon as known"
    means = [f"{each:.2f} ({shown})" for each, shown in mean_on_each_day(found)]
    return (name, counts, f"{first_fits_mean(found):.3f}", *means)


_HOW = """
`make bench-year` writes this page; this one took {:.0f} minutes beside other work, and {:.0f} minutes of processor time.
Each clinic has about 20 visits a day, and an outcome within 30 days of discharge that is true of 7 or 35 % of them. The true probabilities have an AUROC
of .76. The first night comes after 90 days of history. Then there are 182 nights, but where another number is named: each at 02:15 `pull` and `score`, once a week at
03:00 `retrain`, at 07:00 `alert`, `health`, and once a week `status`. A receiver takes the messages.

The commands run in one process a clinic, by their `main`. It stands under Debian's faketime, and moves its own clock
from night to night. SQLite has the same clock, so every stamp is the command's own. The clinic's database holds
the whole half year; a view shows of it what is known on that day.

- **calm**: outcomes are written on day 30, whatever they are, and nothing changes.
- **early**: a 1 is written when it happens, a 0 on day 30.
- **backlog**: such a clinic; visits of the last 30 days whose outcome is not known yet wait for the first night.
- **dead**: from week 13 on nothing says anything about the outcome.
- **doubled**: from week 13 on 7 % become 14, 35 become 52.
- **a wrong unit**: from week 13 on creatinine arrives five times too high for six weeks, within its range.
- **hindsight**: of visits that pima has predicted, creatinine is corrected upwards once their outcome 1 is known.
"""

_TOLD = """
Outcomes are those of visits whose 30 days are over; in clinics that change, of visits after the change. A message is
one that the receiver got. What is told after a change need not be about it. How many outcomes it takes in many clinics
is on [the gate's page](gate.md#alarms-over-settled-outcomes).
"""

_OTHER_HISTORIES = """
All clinics of one prevalence that live as long have the same history, so that is one draw. Of other histories, each fitted by the
network with a seed of its own, the mean prediction over the prevalence of the training rows is:
"""

_WORTH = """
A gain is by how much the new champion's mean log loss is lower than the old one's on 20,000 fresh visits, by their
true probabilities.
"""

_LATE = """
A 1 is known at once in all of these. Zeros by quarter: a 0 is written on the last day of the quarter in which its 30 days are
over. Lost zeros: a third of the zeros never comes. Dead from day 28: as "dead", eight weeks sooner. Files of each morning:
200 visits a day for nine weeks, and an outcome counts as known from the pull on that brings it, just before the day's first
score. Honest corrections: within 30 days creatinine is corrected in 30 % of the visits of the riskiest tenth and in 2 % of
the others, whatever their outcome. A condition is told each day as long as it holds.
"""

_HINDSIGHT = """
Creatinine is corrected in three of four visits with outcome 1, to 1.7 times its value, once the outcome is known. True is the
challengers' area on 20,000 fresh visits.
"""

_SIMULATION = """
No commands here: {clinics} clinics for each line, with a logistic regression that is fitted each week and stays where
its log loss on the held-out visits is lower. A first fit's figure is its mean prediction over what becomes of its days'
visits. Observed/expected is of all predictions as they were served, in the clinics that have five outcomes of each kind by then.
"""

_LIMITS = """
- Each clinic lives once, by one seed, but for the last verdicts of those with hindsight: how often an alarm is false in a hundred clinics is for [the gate's
  page](gate.md).
- Everything is on SQLite. The rules of time are tested on PostgreSQL, too.
- Visits come evenly, and each person once.
"""
