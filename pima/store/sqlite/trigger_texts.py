"""What a trigger's text says, as the catalogue keeps it: comments are left out, and a literal is no word.

SQLite keeps no more of a trigger than its text, so what somebody else's does to ours can only be read there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from sqlalchemy import Connection, text

_PIECE = re.compile(
    r"""--[^\n]* | /\*.*?(?:\*/|\Z)                          # a comment
    | (?P<literal>'(?:[^']|'')*')
    | "(?P<double>(?:[^"]|"")*)" | `(?P<back>(?:[^`]|``)*)` | \[(?P<square>[^]]*)]
    | (?P<word>[\w$\x80-\U0010ffff]+)
    | (?P<sign>\S)""",
    re.VERBOSE | re.DOTALL,
)

Write = tuple[str, str]
"""A table, in lower case, and what is done to its rows: insert, update or delete."""


@dataclass(frozen=True, slots=True)
class TriggerText:
    """One trigger of the database, of any table or view."""

    name: str
    table: str
    """In lower case."""
    sql: str
    failing: frozenset[str] = frozenset()
    """The tables that have a key or condition ON CONFLICT FAIL."""

    @property
    def words(self) -> tuple[str, ...]:
        """What stands behind the name, in lower case: words, names without their quotes, signs."""
        words = _words(self.sql)
        return words[5:] if words[3] == "." else words[3:]  # CREATE TRIGGER name, or schema.name

    @property
    def is_before(self) -> bool:
        """Which it is, too, where it says neither BEFORE nor AFTER."""
        return self.words[0] != "after"

    @property
    def event(self) -> str:
        """insert, update or delete."""
        return next(word for word in self.words if word in ("insert", "update", "delete"))

    @property
    def drops(self) -> bool:
        """Whether it may end what is done for a row without an error."""
        return self._has("raise", "(", "ignore")

    @property
    def fails(self) -> bool:
        """Whether it may end a statement with an error, and leave in the table what was done until then."""
        written = {table for table, event in self.writes if event != "delete"}
        said = (("raise", "(", "fail"), ("insert", "or", "fail"), ("update", "or", "fail"))
        return any(self._has(*words) for words in said) or not self.failing.isdisjoint(written)

    @property
    def writes(self) -> set[Write]:
        """What it does to which tables. An upsert is both, and REPLACE may delete."""
        said = self.words
        found = {(_table(after), "insert") for word, after in pairwise(said) if word == "into"}
        if self._has("do", "update"):
            found |= {(table, "update") for table, _ in found}
        if "replace" in said:
            found |= {(table, "delete") for table, _ in found}
        found |= {
            (_table(said[at + 2]), "delete") for at in range(len(said) - 2) if said[at : at + 2] == ("delete", "from")
        }
        for at in range(len(said) - 3):
            if said[at] == "update":
                found.add((_table(said[at + 3 if said[at + 1] == "or" else at + 1]), "update"))
        return found

    def _has(self, *words: str) -> bool:
        return _stand_in(words, self.words)


def trigger_texts(connection: Connection) -> list[TriggerText]:
    """All of the file. A connection's temporary ones nobody else can see."""
    named = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' OR sql LIKE '%conflict%fail%'"
    rows = connection.execute(text(named)).all()
    tables = (row for row in rows if row.type == "table")
    failing = frozenset(row.name.lower() for row in tables if _stand_in(("on", "conflict", "fail"), _words(row.sql)))
    return [TriggerText(row.name, row.tbl_name.lower(), row.sql, failing) for row in rows if row.type == "trigger"]


def _stand_in(words: tuple[str, ...], said: tuple[str, ...]) -> bool:
    return any(said[start : start + len(words)] == words for start in range(len(said)))


def _table(word: str) -> str:
    """The table that is written to: where a name must stand, SQLite takes a literal for one."""
    return word[1:-1].replace("''", "'") if word.startswith("'") else word


@cache
def _words(sql: str) -> tuple[str, ...]:
    pieces = (match.groupdict() for match in _PIECE.finditer(sql))
    found = (next((piece for piece in groups.values() if piece is not None), None) for groups in pieces)
    return tuple(piece.lower() for piece in found if piece is not None)


# The tables that ours or the scorer write to, on which a trigger may drop a row without a word.
_WRITTEN_BY_OURS = ("scoring_queue", "row_keys")
_WRITTEN = (*_WRITTEN_BY_OURS, "predictions", "rejections")

_COUNTER = "patient_version_counter"
_CHANGES_OF_PATIENTS: set[Write] = {("patients", "update"), ("patients", "insert")}
_BY_OURS: set[Write] = {
    ("patients", "update"),
    ("patient_version_counter", "update"),
    ("scoring_queue", "insert"),
    ("scoring_queue", "delete"),
    ("row_keys", "insert"),
    ("row_keys", "update"),
}
_BY_ANYBODY: set[Write] = {("patients", "insert"), ("patients", "delete")}


def writers_within_ours(others: Sequence[TriggerText]) -> int:
    """How many of these, which are not ours, may change or insert patients while one of ours is at work."""
    return sum(not _CHANGES_OF_PATIENTS.isdisjoint(other.writes) for other in _set_off(others, _BY_OURS))


def first_fault(others: Sequence[TriggerText]) -> str | None:
    """What the first one of these, which are not ours, may do to the work of ours, in words."""
    beside_ours = _set_off(others, _BY_OURS | _BY_ANYBODY)
    overtaken = [other for other in others if _is_overtaken(other, others)]
    within = [other for other in others if _writes_within_ours(other, others)]
    found = (_undoes(other, other in beside_ours, other in overtaken, other in within) for other in others)
    return next(filter(None, found), None)


def _writes_within_ours(other: TriggerText, others: Sequence[TriggerText]) -> bool:
    """Whether what ours write into a table of ours sets it off, and it then writes to patients: ours are at work, and
    are not set off again by what it does to a row."""
    return other.table in _WRITTEN_BY_OURS and any(table == "patients" for table, _ in _all_writes(other, others))


def _all_writes(other: TriggerText, others: Sequence[TriggerText]) -> set[Write]:
    """Its own, and those of what it sets off."""
    return other.writes.union(*(each.writes for each in _set_off(others, other.writes)))


def _is_overtaken(other: TriggerText, others: Sequence[TriggerText]) -> bool:
    """Whether the statement that fires it may write over what it makes of the row, which OLD does not show.

    A text does not say whether the row that it writes is its own. Ahead of an insert there is none yet, and what is
    deleted needs no stamps.
    """
    if (other.table, other.event, other.is_before) != ("patients", "update", True):
        return False
    return not _CHANGES_OF_PATIENTS.isdisjoint(_all_writes(other, others))


def _undoes(other: TriggerText, is_beside_ours: bool, is_overtaken: bool, is_within_ours: bool) -> str | None:
    """Where a BEFORE trigger on patients drops a row, nothing is lost; where it drops the stamps, ours say so."""
    where = f"the trigger {other.name} on {other.table}"
    if other.table in _WRITTEN and (other.is_before or other.drops):
        return f"{where} could drop what is written there"
    if other.table == _COUNTER:
        return f"{where} is at work while versions are drawn (drop it)"
    if any(table == _COUNTER for table, _ in other.writes):
        return f"{where} writes to {_COUNTER}, which only pima's own do"
    if is_within_ours:
        return (
            f"{where} writes to patients while pima's own triggers are at work, which do not see it (make it one on"
            " patients, then run python -m jobs.requeue)"
        )
    if is_overtaken:
        return (
            f"{where} writes to patients before the statement that fires it does, and what it changes in the same row"
            " would be written over unseen (make it an AFTER trigger, then run python -m jobs.requeue)"
        )
    if other.table == "patients" and other.drops and not other.is_before:
        return (
            f"{where} may keep those that queue its rows from running, by RAISE(IGNORE) in an AFTER trigger (say with"
            " WHEN which rows it is for, then run python -m jobs.requeue)"
        )
    # Ahead of an insert or a deletion nothing of the row is written yet; an update may be ours, which stamps the row.
    nothing_is_written = other.table == "patients" and other.is_before and other.event != "update"
    if is_beside_ours and other.fails and not nothing_is_written:
        return f"{where} may leave a patient's row half written, by FAIL (ABORT takes the whole statement back)"
    return None


def _set_off(others: Sequence[TriggerText], writes: set[Write]) -> list[TriggerText]:
    """Those of these that such writes set off, or what they themselves then write."""
    found, last = list[TriggerText](), None
    while found != last:
        last = found
        found = [other for other in others if (other.table, other.event) in writes]
        writes = writes.union(*(other.writes for other in found))
    return found
