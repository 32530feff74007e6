"""The section of docs/measured/gate.md on outcomes that come late or never; no figure in it is typed
by hand."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.outcomes.followed_up import LEAST_FOLLOWED_UP
from tests.bench.gate.late import CLINICS, LOST, LOST_LATER, HalfYear, Promotion, half_year
from tests.bench.gate.page import filled, table
from tests.bench.year.population import HORIZON_DAYS, NIGHTS, VISITS_A_DAY, Clinic

AT_MOST_OFF = 0.03
"""By how much the mean prediction may differ from the truth, in the mean over clinics."""


def late_section(pool: Executor, clinics: int) -> str:
    found = {
        (clinic, by_rule): list(pool.map(partial(half_year, clinic, by_rule), range(clinics)))
        for clinic in CLINICS
        for by_rule in (True, False)
    }
    rows = [_row(each, found[each, True], found[each, False]) for each in CLINICS]
    parts = [
        "## Outcomes that come late or never",
        filled(_HEAD.format(clinics=clinics)),
        table(_COLUMNS, rows),
        filled(_reading(found)),
    ]
    return "\n\n".join(parts) + "\n"


_COLUMNS = (
    "zeros",
    "outcome 1",
    "clinics with a model",
    "mean prediction over the truth",
    "promoted (truly worse)",
    "of these on rows with lost ones",
    "told on day, median",
    "without the rule: over the truth",
    "promoted (truly worse)",
)


def _row(
    clinic: Clinic, by_rule: Sequence[HalfYear], without: Sequence[HalfYear]
) -> tuple[str, ...]:
    every = _promotions(by_rule)
    told = float(np.median([each.told for each in by_rule]))
    return (
        clinic.name,
        f"{100 * clinic.prevalence:.0f} %",
        f"{sum(bool(each.promotions) for each in by_rule)} of {len(by_rule)}",
        _over_truth(by_rule),
        _counted(every),
        _counted([each for each in every if each.lost]),
        f"{told:.0f}" if np.isfinite(told) else "never",
        _over_truth(without),
        _counted(_promotions(without)),
    )


def _promotions(lived: Sequence[HalfYear]) -> list[Promotion]:
    return [each for half in lived for each in half.promotions]


def _counted(found: Sequence[Promotion]) -> str:
    return f"{len(found):,} ({sum(each.gain < 0 for each in found):,})"


def _over_truth(lived: Sequence[HalfYear]) -> str:
    ratios = [each.over_truth for each in lived if each.promotions]
    if not ratios:
        return "no model"
    told = f"{np.mean(ratios):.3f}"
    if len(ratios) > 1:
        told += f" ± {np.std(ratios, ddof=1) / len(ratios) ** 0.5:.3f}"
    return told


def _reading(found: dict[tuple[Clinic, bool], list[HalfYear]]) -> str:
    by_rule = {clinic: lived for (clinic, goes_by_rule), lived in found.items() if goes_by_rule}
    off = [
        abs(float(np.mean([each.over_truth for each in lived if each.promotions])) - 1)
        for lived in by_rule.values()
        if any(each.promotions for each in lived)
    ]
    kept = sum(each <= AT_MOST_OFF for each in off)
    every = [each for lived in by_rule.values() for each in _promotions(lived)]
    on_lost = [each for each in every if each.lost]
    text = (
        f"Asked is a mean prediction at most {100 * AT_MOST_OFF:.0f} % off where there is a model: "
        f"{kept} of {len(off)} keep that. Asked is that no version is promoted on rows with lost "
        "ones. "
    )
    if not on_lost:
        return text + "None is."
    shares = [100 * each.lost for each in on_lost]
    gain = 1_000 * np.median([each.gain for each in on_lost])
    return text + (
        f"{len(on_lost)} of {len(every):,} promotions are. Such rows are {np.median(shares):.0f} % "
        f"of theirs in the median, {max(shares):.0f} % at most, and their gain is {gain:+.1f} "
        f"thousandths of true log loss in the median. Where 35 % have outcome 1, only "
        f"{65 * LOST:.0f} % of the rows are lost, and a day or a week counts of which nine tenths "
        "seem to be followed up by luck."
    )


_HEAD = f"""
Which rows count says `pima/core/outcomes/followed_up.py`, and who is promoted the gate by log loss; the learner is a logistic
regression that is fitted anew each week. Made-up clinics of [the half year](year.md) have {VISITS_A_DAY} visits a day and a
horizon of {HORIZON_DAYS} days, for {NIGHTS} days after 90 days of history. A 1 is written when it happens. A 0 is written on
the last day of the quarter in which its horizon ends, or a third of the zeros never comes, from the first day of the
history or from visits of day {LOST_LATER} on. {{clinics:,}} clinics a row. The truth are the visits' true probabilities. Told is
`hardly_followed_up` or `followed_up_below_usual`, at the first retraining at which one holds. Without the rule each outcome
counts once its horizon is over; the rule asks for {LEAST_FOLLOWED_UP:g}.
"""
