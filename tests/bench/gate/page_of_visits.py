"""The section of docs/measured/gate.md on visits of persons; no figure in it is typed by hand."""

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np

from pima.core.arrays import BoolArray, Float64Array
from pima.core.verdicts.persons import MOST_ROWS_A_PERSON
from tests.bench.gate.page import filled, table
from tests.bench.gate.visits import (
    CLINICS,
    CLINICS_AT_ONCE,
    LUCK,
    LUCK_OF_CHALLENGERS,
    OF_PERSON,
    OF_VERDICTS,
    OF_VISIT,
    SICKER,
    UNKNOWN,
    Clinic,
    held,
    truth,
    verdicts,
)

FIRST_SEED = 5_000_000
"""Apart from all that anything was chosen by."""
SHOWN = {
    "auroc": "AUROC",
    "observed_expected": "observed / expected",
    "log_loss": "log loss",
    "sensitivity": "sensitivity",
    "positive_predictive_value": "positive predictive value",
    "gain in AUROC": "gain in AUROC",
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
            ("clinic", "outcome 1", *SHOWN.values(), "least of all figures"),
            [_row(*each) for each in shares.items()],
        ),
        filled(_reading(shares)),
        filled(_OF_VERDICTS.format(clinics=clinics)),
        table(_COLUMNS, [_verdicts(*each) for each in decided.items()]),
        filled(_reading_of_verdicts(decided)),
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
        f"{100 * clinic.prevalence:.0f} %",
        *(f"{by_visit:.0f} / {by_person:.0f}" for by_visit, by_person in told),
        " / ".join(f"{100 * each:.0f}" for each in shares.min(axis=1)),
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
            f"{low} to {high} of 100 {who}: {kept} of {len(by_person)} intervals by person are "
            f"within, all are {by_person.min():.0f} to {by_person.max():.0f}, and by visit they "
            f"are {by_visit.min():.0f} to {by_visit.max():.0f}"
        )
    return f"Asked are {'; '.join(told)}."


_COLUMNS = (
    "test set",
    "promoted, by visit",
    "truly worse",
    "promoted, by person",
    "truly worse",
    "decided otherwise",
)


def _verdicts(clinic: Clinic, found: BoolArray) -> tuple[str, ...]:
    by_visit, by_person, worse = found.T
    counts = (
        by_visit,
        by_visit & worse,
        by_person,
        by_person & worse,
        by_visit != by_person,
    )
    return (clinic.name, *(f"{100 * each.mean():.1f}" for each in counts))


def _reading_of_verdicts(found: dict[Clinic, BoolArray]) -> str:
    changed = [100 * (each[:, 0] != each[:, 1]).mean() for each in found.values()]
    worse = np.concatenate([each[each[:, 0] & ~each[:, 1], 2] for each in found.values()])
    promoted = np.concatenate([each[each[:, 0], 2] for each in found.values()])
    return (
        f"Of 100 verdicts {min(changed):.1f} to {max(changed):.1f} are decided otherwise, and each "
        f"keeps a challenger out. Of those kept out {100 * worse.mean():.0f} % are truly worse, of "
        f"all that visits would promote {100 * promoted.mean():.0f} %."
    )


_HEAD = f"""
Where a person comes more than {MOST_ROWS_A_PERSON:g} times in the mean, intervals and p-values take sums by person (`pima/core/verdicts/persons.py`).
In made-up clinics models know a part of the log odds of a person and of a visit (standard deviations {OF_PERSON:g} and {OF_VISIT:g}), and
nobody knows another part of each person's ({UNKNOWN:g}). Two models err by {LUCK:g}, half of it alike at all visits of a person. Where the
sicker come more often, whoever's log odds are higher by one has {100 * (np.exp(SICKER) - 1):.0f} % more visits. The truth are the figures over 60,000 persons.
By other seeds than those that anything was chosen by. Of 100 intervals so many hold it, by visit / by person, {{clinics:,}} clinics a row;
the last column is of 15 figures:
"""
_OF_VERDICTS = f"""
The veto by log loss asks the p of persons. Challengers that err by {LUCK_OF_CHALLENGERS[0]:g} to {LUCK_OF_CHALLENGERS[1]:g} stand
against a champion that errs by {LUCK:g}, by accuracy with `log_loss_veto`; who errs more is truly worse. Of 100 verdicts,
{{clinics:,}} a row:
"""
