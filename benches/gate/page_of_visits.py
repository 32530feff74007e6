"""The section of docs/measured/gate.md on visits of persons; no figure in it is typed by hand."""

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np

from benches.gate.page import filled, table
from benches.gate.visits import (
    CLINICS,
    CLINICS_AT_ONCE,
    LUCK,
    LUCK_OF_CHALLENGERS,
    OF_PERSON,
    OF_VERDICTS,
    OF_VISIT,
    UNKNOWN,
    Clinic,
    held,
    truth,
    verdicts,
)
from pima.core.arrays import BoolArray, Float64Array
from pima.core.statistics.estimates import MOST_ROWS_A_PERSON

FIRST_SEED = 5_000_000
"""Apart from all that anything was chosen by."""
SHOWN = {
    "observed_expected": "observed/expected",
    "gain in log loss": "gain in log loss",
}
ASKED, ASKED_OF_SICKER = (92, 97), (88, 97)


def visits_section(pool: Executor, clinics: int) -> str:
    """Of a quarter of the clinics, and of all for verdicts."""
    some = clinics // 4
    shares = {each: _many(pool, held, each, some).mean(axis=0) for each in CLINICS}
    decided = {each: _many(pool, verdicts, each, clinics) for each in OF_VERDICTS}
    parts = [
        "## Visits of persons",
        filled(_HEAD.format(clinics=some)),
        table(
            ("clinic", *SHOWN.values()),
            [_row(*each) for each in shares.items()],
        ),
        filled(_reading(shares)),
        filled(f"{_OF_VERDICTS.format(clinics=clinics)} {_reading_of_verdicts(decided)}"),
    ]
    return "\n\n".join(parts) + "\n"


def _many(
    pool: Executor, tried: Callable[[Clinic, int], BoolArray], clinic: Clinic, clinics: int
) -> BoolArray:
    seeds = range(FIRST_SEED, FIRST_SEED - (-clinics // CLINICS_AT_ONCE))
    return np.concatenate(list(pool.map(partial(tried, clinic), seeds)))


def _row(clinic: Clinic, shares: Float64Array) -> tuple[str, ...]:
    names = list(truth(clinic))
    told = [100 * shares[:, names.index(name)] for name in SHOWN]
    return (
        clinic.name,
        *(f"{by_visit:.0f} / {by_person:.0f}" for by_visit, by_person in told),
    )


def _reading(found: dict[Clinic, Float64Array]) -> str:
    told = []
    for sicker, (low, high), who in (
        (False, ASKED, "where all come as often"),
        (True, ASKED_OF_SICKER, "where the sicker come more often"),
    ):
        shares = [each for clinic, each in found.items() if clinic.sicker_come_more is sicker]
        by_visit, by_person = (np.round(100 * np.stack(shares)[:, n].ravel()) for n in (0, 1))
        kept = int(((by_person >= low) & (by_person <= high)).sum())
        told.append(
            f"{low} to {high} {who}: by person {kept} of {len(by_person)} figures keep this "
            f"({by_person.min():.0f} to {by_person.max():.0f}), by visit they are "
            f"{by_visit.min():.0f} to {by_visit.max():.0f}"
        )
    return f"Asked are {'; '.join(told)}."


def _reading_of_verdicts(found: dict[Clinic, BoolArray]) -> str:
    changed = [100 * (each[:, 0] != each[:, 1]).mean() for each in found.values()]
    worse = np.concatenate([each[each[:, 0] & ~each[:, 1], 2] for each in found.values()])
    promoted = np.concatenate([each[each[:, 0], 2] for each in found.values()])
    return (
        f"{min(changed):.1f} to {max(changed):.1f} of 100 are decided otherwise than by visits, and "
        f"each keeps a challenger out: {100 * worse.mean():.0f} % of them truly worse, of all promoted by "
        f"visits {100 * promoted.mean():.0f} %."
    )


_HEAD = f"""
Where a person comes more than {MOST_ROWS_A_PERSON:g} times in the mean, intervals and p-values take sums by person
(`pima/core/statistics/estimates.py`). Models know a part of the log odds of persons and visits (standard deviations {OF_PERSON:g} and
{OF_VISIT:g}), not a third part, of persons ({UNKNOWN:g}). Intervals of 100 that hold the truth, by visit / by person, {{clinics:,}}
clinics a row:
"""
_OF_VERDICTS = f"""
The veto by log loss goes by persons. Challengers err by {LUCK_OF_CHALLENGERS[0]:g} to {LUCK_OF_CHALLENGERS[1]:g}, the
champion by {LUCK:g}; {{clinics:,}} verdicts on each of {len(OF_VERDICTS)} kinds of test sets.
"""
