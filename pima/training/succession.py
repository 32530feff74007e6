"""One champion after another, and the rows that only the new one can score."""

from sqlalchemy import Connection

from pima.store import queue, registry
from pima.store.declarations import newest_declaration
from pima.store.engine import without_time_limit
from pima.store.registry import Champion


def succeed(connection: Connection, before: Champion, number: int) -> None:
    """Make a version champion; the caller holds the lock, and `before` is what it found.

    Where rows are judged by other rules for it, those that are rejected wait again: each ends by the new champion.
    """
    registry.set_champion(connection, number, before.pinned)
    if before.model_version is not None and _rules_differ(connection, before.model_version, number):
        without_time_limit(connection)
        queue.requeue_rejected(connection)


def _rules_differ(connection: Connection, one: int, other: int) -> bool:
    declared = newest_declaration(connection)
    of_one, of_other = (declared.rules_for(registry.features_of(connection, number)) for number in (one, other))
    # In whatever order.
    return {rule.name: rule for rule in of_one} != {rule.name: rule for rule in of_other}
