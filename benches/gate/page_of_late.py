"""The section of docs/measured/gate.md on outcomes that come late or never; no figure in it is typed
by hand."""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.late import CLINICS, HalfYear, Promotion, half_year
from benches.gate.page import filled, table
from benches.year.population import HORIZON_DAYS, NIGHTS, VISITS_A_DAY, Clinic
from pima.core.outcomes.followed_up import LEAST_FOLLOWED_UP

AT_MOST_OFF = 0.03
"""By how much the mean prediction may differ from the truth, in the mean over clinics."""


def late_section(pool: Executor, clinics: int) -> str:
    some = range(clinics // 20)
    found = {
        (clinic, by_rule): list(pool.map(partial(half_year, clinic, by_rule), some))
        for clinic in CLINICS
        for by_rule in (True, False)
    }
    rows = [_row(each, found[each, True], found[each, False]) for each in CLINICS]
    parts = [
        "## Outcomes that come late or never",
        filled(_HEAD.format(clinics=len(some))),
        table(_COLUMNS, rows),
        filled(_reading(found)),
    ]
    return "\n\n".join(parts) + "\n"


_COLUMNS = (
    *("zeros", "outcome 1", "prediction over truth", "promoted (worse)", "told on day"),
    *("without the rule: over truth", "promoted (worse)"),
)


def _row(
    clinic: Clinic, by_rule: Sequence[HalfYear], without: Sequence[HalfYear]
) -> tuple[str, ...]:
    told = float(np.median([each.told for each in by_rule]))
    return (
        clinic.name,
        f"{100 * clinic.prevalence:.0f} %",
        _over_truth(by_rule),
        _counted(_promotions(by_rule)),
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
    return f"{np.mean(ratios):.3f}" if ratios else "no model"


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
        f"At most {100 * AT_MOST_OFF:.0f} % off is allowed: {kept} of {len(off)} rows with models keep it. "
        "On rows with lost zeros no version should be promoted: "
    )
    if not on_lost:
        return text + "none is."
    shares = [100 * each.lost for each in on_lost]
    return text + (
        f"{len(on_lost)} of {len(every):,} promotions are, with {np.median(shares):.0f} % of such rows "
        f"in the median, {max(shares):.0f} % at most."
    )


_HEAD = f"""
Clinics of [the half year](year.md) with {VISITS_A_DAY} visits a day and a horizon of {HORIZON_DAYS} days, for {NIGHTS} days,
{{clinics:,}} a row. A 0 is written on the last day of its quarter, or a third of the zeros never comes. The rule
(`pima/core/outcomes/followed_up.py`) asks for {LEAST_FOLLOWED_UP:g}; without it each outcome counts once its horizon is over.
Told on day: `hardly_followed_up` or `followed_up_below_usual`, the median.
"""
