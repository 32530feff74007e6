"""What a trigger's text says, as the catalogue keeps it: comments are left out, and a literal is no word.

SQLite keeps no more of a trigger than its text, so what somebody else's does to ours can only be read there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

_PIECE = re.compile(
    r"""--[^\n]* | /\*.*?(?:\*/|\Z)                          # a comment
    | (?P<literal>'(?:[^']|'')*')
    | "(?P<double>(?:[^"]|"")*)" | `(?P<back>(?:[^`]|``)*)` | \[(?P<square>[^]]*)]
    | (?P<word>[\w$\x80-\U0010ffff]+)
    | (?P<sign>\S)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class TriggerText:
    """One trigger of the database, of any table or view."""

    name: str
    table: str
    """In lower case."""
    sql: str

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
        return self._has("raise", "(", "fail") or self._has("insert", "or", "fail") or self._has("update", "or", "fail")

    def writes(self, table: str) -> bool:
        """Whether it inserts or updates rows of a table."""
        ways: list[tuple[str, ...]] = [("into", table), ("update", table)]
        ways += [("update", "or", how, table) for how in ("abort", "fail", "ignore", "replace", "rollback")]
        return any(self._has(*way) for way in ways)

    def _has(self, *words: str) -> bool:
        said = self.words
        return any(said[start : start + len(words)] == words for start in range(len(said)))


@cache
def _words(sql: str) -> tuple[str, ...]:
    pieces = (match.groupdict() for match in _PIECE.finditer(sql))
    found = (next((piece for piece in groups.values() if piece is not None), None) for groups in pieces)
    return tuple(piece.lower() for piece in found if piece is not None)


# The tables that ours or the scorer write to, on which a trigger may drop a row without a word.
_WRITTEN = ("scoring_queue", "predictions", "rejections")


def first_fault(others: Sequence[TriggerText]) -> str | None:
    """What the first one of these, which are not ours, may do to the work of ours, in words."""
    reached = _reached(others)
    return next((what for other in others if (what := _undoes(other, reached))), None)


def _undoes(other: TriggerText, reached: set[str]) -> str | None:
    """Where a BEFORE trigger on patients drops a row, nothing is lost; where it drops the stamps, ours say so."""
    where = f"the trigger {other.name} on {other.table}"
    if other.table in _WRITTEN and (other.is_before or other.drops):
        return f"{where} could drop what is written there"
    if other.table == "patients" and other.drops and not other.is_before:
        return (
            f"{where} may keep those that queue its rows from running, by RAISE(IGNORE) in an AFTER trigger (say with"
            " WHEN which rows it is for, then run python -m jobs.requeue)"
        )
    # Ahead of an insert or a deletion nothing of the row is written yet; an update may be ours, which stamps the row.
    nothing_is_written = other.table == "patients" and other.is_before and other.event != "update"
    if other.table in reached and other.fails and not nothing_is_written:
        return f"{where} may leave a patient's row half written, by FAIL (ABORT takes the whole statement back)"
    return None


def _reached(others: Sequence[TriggerText]) -> set[str]:
    """The tables whose triggers a write to patients may set off."""
    reached, last = {"patients", "scoring_queue"}, set[str]()
    while reached != last:
        last = reached
        named = {word for other in others if other.table in reached for word in other.words}
        reached = reached | {other.table for other in others if other.table in named}
    return reached
