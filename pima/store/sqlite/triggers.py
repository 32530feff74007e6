"""SQLite's triggers on `patients`: made, taken away, and compared with what they should be."""

from sqlalchemy import Connection, text

from pima.core.identifiers import LARGEST_VERSION
from pima.store.sqlite.trigger_statements import FEWEST, same, statements
from pima.store.sqlite.trigger_texts import TriggerText, first_fault, trigger_texts, writers_within_ours
from pima.store.versions import SET_NEAR_ITS_END, highest_of_each_table


def make(connection: Connection, columns: tuple[str, ...]) -> None:
    """Make the triggers anew, whatever stands there under their names."""
    drop(connection)
    for statement in statements(columns, _needed(trigger_texts(connection))).values():
        connection.exec_driver_sql(statement)


def drop(connection: Connection) -> None:
    """Take the triggers away."""
    for name in statements((), _found({row.name for row in trigger_texts(connection)})):
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")


def fault(connection: Connection, columns: tuple[str, ...]) -> str | None:
    """What of the triggers is not as `make` makes it, in words; None where all is well."""
    found = {row.name: row for row in trigger_texts(connection)}
    count = _found(set(found))
    made = statements(columns, count)
    for name, statement in made.items():
        if name not in found or found[name].table != "patients":
            return f"the trigger {name} on patients is missing"
        if _plain(found[name].sql) != _plain(statement):
            return f"the trigger {name} on patients is not the one that was made: it does something else"
    others = [row for row in found.values() if row.name not in made]
    if what := first_fault(others):
        return what
    if _needed(others) > count:
        return f"more triggers write to patients than those of pima were made for ({count - 1})"
    return _fault_of_counter(connection)


def _fault_of_counter(connection: Connection) -> str | None:
    counter = connection.execute(text("SELECT last, stamping, labelling FROM patient_version_counter")).first()
    if counter is None:
        return "patient_version_counter has no row, from which row versions are drawn"
    if counter.last > LARGEST_VERSION:
        return SET_NEAR_ITS_END
    if counter.stamping:
        return "a statement on patients was ended in its middle, by FAIL (then run python -m jobs.requeue for its rows)"
    if counter.labelling:
        return (
            "patient_version_counter.labelling is set, by which anybody says labelled_at (run python -m jobs.requeue)"
        )
    return None


def _needed(others: list[TriggerText]) -> int:
    """How many of the same there must be beside these triggers."""
    return max(FEWEST, 1 + writers_within_ours(others))


def _found(names: set[str]) -> int:
    """How many of the same there are."""
    count = FEWEST
    while {same("patients_inserted", count), same("patients_updated", count)} & names:
        count += 1
    return count


def mend_counter(connection: Connection) -> None:
    """Put the counter above every version that there is, and say that no trigger is at work.

    In a transaction that writes none is; a statement that was ended by FAIL while one was has left it so. A counter
    that is behind its rows was restored without them, or set by hand, and would draw versions a second time; one that
    was set to the end would draw none.
    """
    connection.exec_driver_sql("INSERT OR IGNORE INTO patient_version_counter (id, last) VALUES (1, 0)")
    highest = ", ".join(f"coalesce({version}, 0)" for version in highest_of_each_table("0"))
    drawn = f"CASE WHEN last <= {LARGEST_VERSION} THEN last ELSE 0 END"
    connection.exec_driver_sql(
        f"UPDATE patient_version_counter SET stamping = 0, labelling = 0, last = max({drawn}, {highest})"
    )


def _plain(statement: str) -> str:
    """Without the quotes that ALTER TABLE ... RENAME puts round a table's name."""
    return statement.replace('"', "")
