"""docs/measured/year.md, written from what was lived through and simulated; no figure in it is
typed by hand."""

from collections.abc import Sequence
from statistics import fmean, mean, median, quantiles, stdev
from typing import Any

from benches.gate.page import filled, table
from benches.year.acting import ACTS_WITHIN, PREVENTED
from benches.year.page_by_seed import AFTER_SEEDS, SEEDS
from benches.year.page_of_weeks import OF_WEEKS, SHOWN, apart, decay_of, two, weeks_of
from benches.year.population import ACTING, LATE_OR_NEVER, NEVER_ACTS, REACHED, SLOW_DECAY
from benches.year.simulation import (
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
        _FIRST_FITS,
        table(_OF_FITS, [_first_fits(*each) for each in fits.items()]),
        "## Promotions, and what they are worth",
        _WORTH,
        table(_OF_MOVES, [_moves(each) for each in lived]),
        "## Outcomes that come late or never, and alarms that are easily false or lost",
        _LATE,
        table(_OF_LATE, [_late(each) for each in lived if each["clinic"] in _LATE_CLINICS]),
        "## Clinics that act on predictions",
        _ACTED,
        table(_OF_ACTING, [_acting(each) for each in lived if each["clinic"] in _ACT_OR_NEVER]),
        _beside_those_that_never_act(lived),
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

_OF_ALARMS = ("clinic", "what", "first on day", "outcomes by then", "messages")


def _alarms(lived: dict[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for name in dict.fromkeys(each["title"] for each in _told(lived)):
        told = [each for each in _told(lived) if each["title"] == name]
        first = told[0]
        is_false = " (false)" if first in _false_alarms(lived) else ""
        when = (str(first["night"]), str(first["settled"]))
        rows.append((lived["clinic"], f"`{name}`{is_false}", *when, str(len(told))))
    return rows or [(lived["clinic"], "nothing", "", "", "0")]


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

_OF_FITS = ("clinic", "histories", "mean ratio", "95 % interval", "lowest tenth", "highest tenth")


def _first_fits(name: str, ratios: Sequence[float]) -> tuple[str, ...]:
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
    "median gain",
    "least gain",
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
    "acts on nearly all, 35 %": ("hardly_left_alone",),
    **{each.name: ("outcome_less_frequent",) for each in ACTING if each.if_acted == "counts"},
}
"""What is rightly told in a clinic without a change."""
_AT_THE_END = (
    "mean prediction at the end",
    "true",
    "share called",
    "truly above the threshold",
    "told, and on which share of the nights after the first",
)
_OF_LATE = ("clinic", "promoted", "truly worse", *_AT_THE_END)


def _late(lived: dict[str, Any]) -> tuple[str, ...]:
    gains = [move["gain"] for move in _promotions(lived)]
    worse = str(sum(gain < 0 for gain in gains))
    return (lived["clinic"], str(len(gains)), worse, *_at_the_end(lived))


def _at_the_end(lived: dict[str, Any]) -> tuple[str, ...]:
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
    return *figures, ", ".join(told) or "nothing"


# ---- Clinics that act.

_ACT_OR_NEVER = {*NEVER_ACTS.values(), *(clinic.name for clinic in ACTING)}
_OF_ACTING = (
    "clinic",
    "acted on",
    "outcomes prevented",
    "observed/expected of those left alone",
    *_AT_THE_END,
)


def _acting(lived: dict[str, Any]) -> tuple[str, ...]:
    return (
        lived["clinic"],
        f"{lived['acted']:,}",
        f"{lived['prevented']:,}",
        two(lived["left_alone"]["observed_expected"]),
        *_at_the_end(lived),
    )


def _beside_those_that_never_act(lived: Sequence[dict[str, Any]]) -> str:
    """How far the clinics that act are from those with the same visits that don't."""
    last = {each["clinic"]: each["last"] for each in lived if each["last"]}
    said = []
    for clinic in ACTING:
        never = NEVER_ACTS[clinic.prevalence]
        if {clinic.name, never} <= last.keys():
            apart = {name: last[clinic.name][name] - value for name, value in last[never].items()}
            said.append(
                f'"{clinic.name}" by {apart["predicted"]:+.3f} in the mean prediction and '
                f"{100 * apart['called']:+.1f} points in the share called"
            )
    return f"They differ from the clinic that never acts: {'; '.join(said)}." if said else ""


# ---- Hindsight.

_OF_HINDSIGHT = (
    "clinic",
    "corrected of the 1s",
    "of the 0s",
    "told on day",
    "AUROC of the verdicts",
    "of the same rows as predicted on",
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
    *(f"day {day}" for day in LOOKED_AT[::2]),
)


def _many(key: tuple[str, bool], found: Sequence[Simulated]) -> tuple[str, ...]:
    name, is_settled_only = key
    counts = "once settled" if is_settled_only else "as soon as known"
    means = [f"{each:.2f}" for each, _ in mean_on_each_day(found)[::2]]
    return (name, counts, f"{first_fits_mean(found):.3f}", *means)


_HOW = """
`make bench-year` writes this page: {:.0f} minutes beside other work, {:.0f} of processor time. Each clinic has about 20
visits a day. 7, 15 or 35 % of them have the outcome within 30 days of discharge. The AUROC of the true probabilities is .76. After
90 days of history come 182 nights, where no other number is named. Each night at 02:15 `pull` and `score` run, at 07:00
`alert` and `health`. Once a week `retrain` runs at 03:00 and `status` at 07:00.

The commands run by their `main`, in one process a clinic, under Debian's faketime: SQLite has the same clock. The clinic's
database holds the whole half year, and a view shows what is known on that day.

- **calm**: outcomes are written on day 30, and nothing changes.
- **early**: a 1 is written when it happens, a 0 on day 30.
- **backlog**: as early; visits of the last 30 days without a known outcome wait for the first night.
- **dead**: from week 13 on nothing says anything about the outcome.
- **doubled**: from week 13 on 7 % become 14, 35 become 52.
- **a wrong unit**: from week 13 on creatinine arrives five times too high for six weeks, within its range.
- **hindsight**: of visits that pima has predicted, creatinine is corrected upwards once their outcome 1 is known.
"""

_TOLD = """
Outcomes are of visits whose 30 days are over; in clinics that change, of visits after the change. A message that comes after a
change need not be about it. How often alarms are false in many clinics is on [the gate's
page](gate.md#alarms-over-settled-outcomes).
"""

_FIRST_FITS = """
The mean prediction over the prevalence of the training rows. Each history is fitted by the network with a seed of its own.
"""

_WORTH = """
A gain is by how much the new champion's mean log loss is lower than the old one's, in thousandths, on 20,000 fresh visits by
their true probabilities.
"""

_LATE = """
A 1 is known at once in all of these. A condition is told each day while it holds.

- **zeros by quarter**: a 0 is written on the last day of the quarter in which its 30 days are over.
- **lost zeros**: a third of the zeros never comes.
- **dead from day 28**: as dead, eight weeks sooner.
- **files of each morning**: 200 visits a day for nine weeks; an outcome counts as known from its pull on.
- **honest corrections**: within 30 days creatinine is corrected in 30 % of the visits of the riskiest tenth and in 2 % of the
  others, whatever their outcome.
"""

_ACTED = f"""
These clinics write down a 1 at once. They act on {100 * REACHED:.0f} of 100 visits that are predicted 1, one of them on nineteen
in twenty: at nine on one of the {ACTS_WITHIN} mornings from the prediction on, also where the outcome has come. So they prevent
{100 * PREVENTED:.0f} % of the outcomes 1 that are still to come there. The clinics say [which risk is meant](../do/acted-upon.md). Clinics of one prevalence have the
same visits, and "early" never acts. Observed/expected is of all predictions as they were served but of those acted on
before the outcome. True is the risk where nobody acts.
"""

_HINDSIGHT = """
Creatinine is corrected in three of four visits with outcome 1, to 1.7 times its value, once the outcome is known. True is the
challengers' area on 20,000 fresh visits.
"""

_SIMULATION = """
No commands here: {clinics} clinics a row, with a logistic regression that is fitted each week and stays where its log loss on
the held-out visits is lower. First fits: the mean prediction over what becomes of the visits of its days. Then
observed/expected of all predictions as they were served.
"""

_LIMITS = """
- Each clinic lives once, by one seed, but for the last verdicts of those with hindsight.
- Everything is on SQLite. The rules of time are tested on PostgreSQL, too.
- Visits come evenly, and each person once.
"""
