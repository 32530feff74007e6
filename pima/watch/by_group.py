"""Who people are by declared groups, and what came true in each, as it was served by whichever
version."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pima.core.declared.features import names_of
from pima.core.outcomes.realised import ON_TOP, WEEKS_ON_TOP, CameTrue, came_true
from pima.core.statistics.disclosure import FEWEST_ROWS, few_together, shown_sizes
from pima.core.statistics.estimates import deviations_apart, in_words
from pima.core.verdicts.contest import Role
from pima.core.verdicts.evidence import Evidence, calibration_doubts
from pima.core.verdicts.subgroups import groupings
from pima.store.models.beside_verdicts import newest_evidence
from pima.store.models.ledger import list_moves
from pima.store.models.registry import newest_declaration
from pima.store.rows.histories import columns_by_id
from pima.store.rows.settled import (
    NEWEST_OUTCOMES,
    SettledOutcomes,
    columns_of,
    persons_beside,
)
from pima.watch.realised import rows_on_top

AS_SERVED = (
    "Training rows and test set are those of a verdict. What came true is told of all predictions "
    f"as they were served, by whichever version, over the last {WEEKS_ON_TOP} whole weeks, of at "
    f"most the newest {NEWEST_OUTCOMES:,} settled outcomes. Small groups are told together."
)
_RATIO = "observed_expected"
_TOLD = ("auroc", _RATIO, "sensitivity")
_FEWEST_EXPECTED = 10
"""Expected outcomes from which on they are compared with those that came."""
_APART = 3.3
"""Standard deviations that luck alone puts between a group and the other rows 1 time in 1,000."""
HEADS = ("group", "training rows", "test set", "outcomes", *(ON_TOP[name] for name in _TOLD))
"""Those of `ByGroup.table`."""


@dataclass(frozen=True, slots=True)
class ByGroup:
    """All people, as one declared group divides them."""

    name: str
    """For people."""
    rows: tuple[Mapping[str, int | None], ...]
    """By group, those of the training, those of the test set, and those with an outcome."""
    came_true: Mapping[str, CameTrue]
    """By group, of which each has ten of either outcome."""
    doubts: tuple[str, ...]
    """Where the probabilities are clearly wrong, and otherwise than in the other rows."""

    @property
    def table(self) -> Iterator[list[str]]:
        """Each group with its rows and figures."""
        for group in dict.fromkeys(name for each in (*self.rows, self.came_true) for name in each):
            cells = [_said(each.get(group)) for each in self.rows]
            told = ["-"] * len(_TOLD)
            if found := self.came_true.get(group):
                told = [in_words(found.figures[name], 2) for name in _TOLD]
            yield [group, *cells, *told]


def by_group(
    connection: Connection, settled: SettledOutcomes, now: datetime, judged: Sequence[Evidence]
) -> Iterator[ByGroup]:
    """Tell of each declared group, by outcomes of the last whole weeks and, if there is one, a
    verdict."""
    declared = newest_declaration(connection)
    if not declared.groups:
        return
    found = rows_on_top(settled, now)
    ids = [each.patient_id for each in found]
    divided = columns_by_id(connection, ids, names_of(declared.groups))
    divided = groupings(declared.dividing, divided, divided)
    every = (*columns_of(found), persons_beside(connection, found))
    is_one = every[2] == 1
    is_enough = min(is_one.sum(), (~is_one).sum()) >= FEWEST_ROWS
    for group in declared.groups:
        training = {each.group: each.training for one in judged for each in one.groups}
        test_set = [each for one in judged for each in one.subgroups if each.feature == group.name]
        parts = few_together(divided[group.name], is_one, ~is_one)
        told = {}
        rest = {}
        for part in parts.cat.categories if is_enough else ():
            is_in = parts == part
            told[part] = came_true(*(column[is_in] for column in every))
            if not is_in.all():
                rest[part] = came_true(*(column[~is_in] for column in every))
        rows = (
            dict(training.get(group.name, ())),
            {each.group: each.rows for each in test_set},
            shown_sizes(parts),
        )
        yield ByGroup(group.called, rows, told, tuple(doubts(group.called, told, rest)))


def of_unseen_code(connection: Connection, settled: SettledOutcomes, called: str) -> str:
    """Tell what came true of all rows with a code, called by its feature and label, that no
    training row had."""
    name, _, label = called.partition(": ")
    found = settled.in_time
    codes = columns_by_id(connection, [each.patient_id for each in found], [name])
    features = newest_declaration(connection).called([name])
    is_in = groupings(features, codes, codes)[name].to_numpy() == label
    every = (*columns_of(found), persons_beside(connection, found))
    theirs = [column[is_in] for column in every]
    if theirs[0].sum() < _FEWEST_EXPECTED:
        return f"Of rows with {called}, fewer than {_FEWEST_EXPECTED} outcomes are expected so far."
    ratio = in_words(came_true(*theirs).figures[_RATIO], 2)
    return (
        f"Of rows with {called}, which the champion has not learned from, observed / expected is "
        f"{ratio}."
    )


def doubts(name: str, told: Mapping[str, CameTrue], rest: Mapping[str, CameTrue]) -> Iterator[str]:
    """Tell the groups in which the probabilities do not hold, unless they are as wrong in the other
    rows, `rest`.

    In simulated clinics whose probabilities held, one look told of a group in 1 of 100.
    """
    for group, elsewhere in rest.items():
        ratio = told[group].figures[_RATIO]
        of_rest = elsewhere.figures[_RATIO]
        if ratio.leaves_out(1) and deviations_apart(ratio, of_rest) > _APART:
            yield (
                f"The probabilities do not hold in {name}: {group}. Observed / expected is "
                f"{in_words(ratio, 2)} there, and {in_words(of_rest, 2)} elsewhere."
            )


def in_newest_verdict(connection: Connection, version: int) -> tuple[str, ...]:
    """Tell the groups in which a version's probabilities did not hold in the newest verdict that it
    took part in."""
    found = newest_evidence(connection, list_moves(connection, version))
    if found is None:
        return ()
    move, evidence = found
    role = Role.CHALLENGER if move.challenger == version else Role.CHAMPION
    return tuple(calibration_doubts(evidence, role, version))


def _said(rows: int | None) -> str:
    if rows is None:
        return "-"
    return f"{rows:,}"
