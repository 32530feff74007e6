"""Applying a changed declaration to a database: columns, triggers, and the rows that it judges
differently.

All of it is one transaction, under the lock of migrations: no one sees half of it, and each batch
of a scorer is judged entirely before or after it. A dry run only reads, in short transactions that
make no one wait.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from sqlalchemy import Connection, Engine

from pima.core.declared.features import Declaration
from pima.core.declared.identifiers import BELOW_ALL_IDS
from pima.core.rows.redeclared import (
    DeclarationChanges,
    Effects,
    Rules,
    add_effects,
    changes,
    of_another_kind,
)
from pima.errors import WrongConfiguration
from pima.store import schema
from pima.store.database import database_of
from pima.store.engine import reading, without_time_limit, writing
from pima.store.models import registry
from pima.store.models.registry import newest_declaration, record_declaration
from pima.store.rows import histories, queue
from pima.store.rows.histories import Rows
from pima.store.schema import make_triggers


@dataclass(frozen=True, slots=True)
class RedeclareResult(DeclarationChanges):
    """The changes that were made, or that a dry run found; the fields are the keys of the JSON."""

    rejected_from_now: Mapping[str, int]
    """Unlabelled rows that could be scored before and no longer can, by reason and column."""
    scored_again: int
    """Unlabelled rows that had been rejected and now wait again."""
    left_out_of_training: Mapping[str, int]
    """Labelled rows that the next model can't learn from, by reason and column."""
    dry_run: bool


def redeclare(
    engine: Engine, configured: Declaration, decided_by: str, reason: str
) -> RedeclareResult:
    """Bring a database's declaration to that of the settings. Raises WrongConfiguration if a column
    can't follow."""
    with writing(engine) as connection:
        database_of(connection).wait_for_other_migrations(connection)
        without_time_limit(connection)
        # After the walk over all rows has begun, no batch may still be judged by the old rules, and
        # no promotion may requeue rows by them.
        database_of(connection).keep_rows(connection)
        after, found, there, rules = _plan(connection, configured)
        effects = _effects(
            _blocks(lambda last: histories.rows_above(connection, there, last)), there, rules
        )
        if found.any:
            schema.add_columns(connection, after, found.added)
            record_declaration(connection, after, decided_by, reason)
            make_triggers(connection)
            queue.requeue_rejected(connection, effects.sound_from_now)
        return _result(found, effects, dry_run=False)


def would_redeclare(engine: Engine, configured: Declaration) -> RedeclareResult:
    """Find by reading alone what `redeclare` would do or raise. A row written meanwhile may be
    counted as it was before or after."""
    with reading(engine) as connection:
        without_time_limit(connection)
        _, found, there, rules = _plan(connection, configured)
    effects = _effects(_blocks(partial(_rows_above, engine, there)), there, rules)
    return _result(found, effects, dry_run=True)


def _rows_above(engine: Engine, names: Sequence[str], last: int) -> Rows | None:
    """Read one block in its own transaction: on SQLite a reader keeps writers from committing."""
    with reading(engine) as connection:
        return histories.rows_above(connection, names, last)


def _blocks(rows_above: Callable[[int], Rows | None]) -> Iterator[Rows]:
    """All patient rows, block by block."""
    last = BELOW_ALL_IDS
    while (block := rows_above(last)) is not None:
        last = int(block.ids[-1])
        yield block


def _effects(rows: Iterable[Rows], there: tuple[str, ...], rules: Rules) -> Effects:
    effects = Effects()
    for block in rows:
        measured = block.measurements.widened(there, rules.columns)
        add_effects(effects, block.ids, block.unlabelled, measured, rules)
    return effects


def _plan(
    connection: Connection, configured: Declaration
) -> tuple[Declaration, DeclarationChanges, tuple[str, ...], Rules]:
    """Find the new declaration, the changes, its columns that the table already has, and the rules
    before and after."""
    before = newest_declaration(connection)
    other = of_another_kind(before, configured)
    if other is not None:
        name, kind = other
        what = f"{name} can't become a {kind}: its column holds the values of another kind"
        raise WrongConfiguration(
            what=what, expected="another name, with this one left out (retired)"
        )
    after, found = changes(before, configured)
    schema.require_room(connection, found.added)
    champion = registry.read_champion(connection).model_version
    # Without a champion, the first one will be fitted on the features declared by then.
    scored = None if champion is None else registry.features_of(connection, champion)
    rules = Rules(
        columns=after.columns,
        scored_before=before.features if scored is None else before.rules_for(scored),
        scored_after=after.features if scored is None else after.rules_for(scored),
        learned=after.features,
        rejected=queue.rejected(connection),
    )
    return after, found, tuple(name for name in after.columns if name in before.columns), rules


def _result(found: DeclarationChanges, effects: Effects, dry_run: bool) -> RedeclareResult:
    scored_again = len(effects.sound_from_now) if found.any else 0
    return RedeclareResult(
        **asdict(found),
        rejected_from_now=dict(effects.rejected_from_now.most_common()),
        scored_again=scored_again,
        left_out_of_training=dict(effects.left_out_of_training.most_common()),
        dry_run=dry_run,
    )
