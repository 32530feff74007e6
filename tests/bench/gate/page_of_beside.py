"""The section of docs/measured/gate.md on the service beside a score in use; no figure in it is
typed by hand."""

from concurrent.futures import Executor
from functools import partial
from itertools import product

import numpy as np

from pima.core.verdicts.figures import Figure
from pima.store.rows.settled import NEWEST_OUTCOMES
from tests.bench.gate.beside import (
    CLINICS_AT_ONCE,
    FIRST_LOOK,
    OF_A_VERSION,
    WEEKS,
    WINDOW,
    Look,
    ServedBeside,
    looks_at,
)
from tests.bench.gate.looks import ALIKE, AUROC_OF_SCORE
from tests.bench.gate.page import filled, table
from tests.bench.gate.settled import INTERCEPT_DEVIATION, SLOPE_DEVIATION

BEGINS_BESIDE = "## The service beside a score in use"
FIRST_SEED = 3_000_000
"""Apart from all that anything was chosen by."""
CLINICS = [
    ServedBeside(prevalence, a_day, better)
    for better, prevalence, a_day in product((0.0, 0.02, -0.02), (0.07, 0.35), (20, 200))
]
_COLUMNS = (
    "outcomes",
    "models better by",
    "true gain of the service",
    "said better",
    "said worse",
    "undecided",
    "wrong by its sign",
    "standard deviation of the gain",
    "of the champion's own",
)


def beside_section(pool: Executor, clinics: int) -> str:
    seeds = range(FIRST_SEED, FIRST_SEED + -(-clinics // 20 // CLINICS_AT_ONCE))
    rows = []
    wrong = []
    for what in CLINICS:
        years = [year for some in pool.map(partial(looks_at, what), seeds) for year in some]
        looks = [look for year in years for look in year]
        wrong.append(_of_100(looks, -1))
        rows.append(_row(what, looks))
    said = (
        f"The sentence is wrong by its sign at {min(wrong):.1f} to {max(wrong):.1f} of 100 looks."
    )
    text = filled(_HEAD.format(clinics=len(years)))
    return "\n\n".join([BEGINS_BESIDE, text, table(_COLUMNS, rows), filled(said)]) + "\n"


def _row(what: ServedBeside, looks: list[Look]) -> tuple[str, ...]:
    gains = [look.gain.value for look in looks]
    of_champion = [look.of_champion.value for look in looks if look.of_champion.value is not None]
    return (
        f"{what.a_day} a day, {100 * what.prevalence:.0f} % with outcome 1",
        f"{what.better:+.2f}" if what.better else "the same",
        f"{np.mean([look.true for look in looks]):+.3f}",
        f"{100 * np.mean([_said(look.gain) > 0 for look in looks]):.1f}",
        f"{100 * np.mean([_said(look.gain) < 0 for look in looks]):.1f}",
        f"{100 * np.mean([_said(look.gain) == 0 for look in looks]):.1f}",
        f"{_of_100(looks, -1):.1f}",
        f"{np.std(gains):.3f}",
        f"{np.std(of_champion):.3f}",
    )


def _of_100(looks: list[Look], sign: int) -> float:
    """The looks at which what is said has this sign of the truth."""
    return float(100 * np.mean([_said(each.gain) * np.sign(each.true) == sign for each in looks]))


def _said(gain: Figure) -> int:
    """1 for better, -1 for worse, 0 if neither is clear."""
    if gain.low is None or gain.high is None:
        return 0
    return int(gain.low > 0) - int(gain.high < 0)


_HEAD = f"""
Report, card and `status` say whether the service is better than the score in use: all predictions of the last {WINDOW} weeks, by
whichever version, at most the newest {NEWEST_OUTCOMES:,}. Here another version becomes champion every {OF_A_VERSION} weeks. All versions have the same
AUROC, but the calibration of each is wrong in its own way: its intercept by a standard deviation of {INTERCEPT_DEVIATION}, its slope by {SLOPE_DEVIATION}. So
the AUROC of all predictions together is a little lower than that of each version. The score's is {AUROC_OF_SCORE:g}, and among patients
with the same outcome model and score have a correlation of {ALIKE:g}. It is looked at each week from week {FIRST_LOOK} to week {WEEKS}. Of 100
looks, {{clinics}} clinics a row:
"""
