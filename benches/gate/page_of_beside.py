"""The section of docs/measured/gate.md on the service beside a score in use; no figure in it is
typed by hand."""

from concurrent.futures import Executor
from functools import partial
from itertools import product

import numpy as np

from benches.gate.beside import (
    CLINICS_AT_ONCE,
    OF_A_VERSION,
    WINDOW,
    Look,
    ServedBeside,
    looks_at,
)
from benches.gate.looks import ALIKE, AUROC_OF_SCORE
from benches.gate.page import filled, table
from benches.gate.page_of_decay import named
from pima.core.statistics.estimates import Estimate
from pima.store.rows.settled import NEWEST_OUTCOMES

FIRST_SEED = 3_000_000
"""Apart from all that anything was chosen by."""
_BETTER = (0.0, 0.02, -0.02)
CLINICS = [
    ServedBeside(prevalence, a_day, better)
    for prevalence, a_day, better in product((0.07, 0.35), (20, 200), _BETTER)
]
_COLUMNS = (
    "outcomes",
    *(f"models better by {each:+.2f}" if each else "models as good" for each in _BETTER),
)


def beside_section(pool: Executor, clinics: int) -> str:
    seeds = range(FIRST_SEED, FIRST_SEED + -(-clinics // 20 // CLINICS_AT_ONCE))
    rows: dict[str, list[str]] = {}
    found = []
    for what in CLINICS:
        years = [year for some in pool.map(partial(looks_at, what), seeds) for year in some]
        looks = [look for year in years for look in year]
        found.append(looks)
        rows.setdefault(named(what), []).append(_cell(looks))
    parts = [
        "## The service beside a score in use",
        filled(_HEAD.format(clinics=len(years))),
        table(_COLUMNS, [(name, *cells) for name, cells in rows.items()]),
        filled(_reading(found)),
    ]
    return "\n\n".join(parts) + "\n"


def _cell(looks: list[Look]) -> str:
    said = np.array([_said(look.gain) for look in looks])
    return f"{100 * (said > 0).mean():.1f} / {100 * (said < 0).mean():.1f}"


def _reading(found: list[list[Look]]) -> str:
    wrong = [_of_100(looks, -1) for looks in found]
    of_service = [np.std([look.gain.value for look in looks]) for looks in found]
    of_champion = [
        np.std([look.of_champion.value for look in looks if look.of_champion.value is not None])
        for looks in found
    ]
    return (
        f"The sentence is wrong by its sign at {min(wrong):.1f} to {max(wrong):.1f} of 100 looks. "
        f"The standard deviation of the gain is {min(of_service):.3f} to {max(of_service):.3f}, of "
        f"the champion's own {min(of_champion):.3f} to {max(of_champion):.3f}."
    )


def _of_100(looks: list[Look], sign: int) -> float:
    """The looks at which what is said has this sign of the truth."""
    return float(100 * np.mean([_said(each.gain) * np.sign(each.true) == sign for each in looks]))


def _said(gain: Estimate) -> int:
    """1 for better, -1 for worse, 0 if neither is clear."""
    if gain.low is None or gain.high is None:
        return 0
    return int(gain.low > 0) - int(gain.high < 0)


_HEAD = f"""
Report, card and `status` say whether the service is better than the score in use, over the last {WINDOW} weeks and at most
{NEWEST_OUTCOMES:,} outcomes. Champions change every {OF_A_VERSION} weeks. The score's AUROC is {AUROC_OF_SCORE:g}; both correlate
by {ALIKE:g} as above. Said better / said worse, of 100 weekly looks, {{clinics}} clinics a cell:
"""
