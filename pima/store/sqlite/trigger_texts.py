"""What a trigger's text says, as the catalogue keeps it: comments are left out, and a literal is no word.

SQLite keeps no more of a trigger than its text, so what somebody else's does to ours can only be read there.
"""

import re
from dataclasses import dataclass

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
    words: tuple[str, ...]
    """What stands behind the name, in lower case: words, names without their quotes, signs."""

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

    def _has(self, *words: str) -> bool:
        starts = range(len(self.words) - len(words) + 1)
        return any(self.words[start : start + len(words)] == words for start in starts)


def read(name: str, table: str, sql: str) -> TriggerText:
    """From what sqlite_master has."""
    words = _words(sql)
    behind_the_name = 5 if words[3] == "." else 3  # CREATE TRIGGER name, or schema.name
    return TriggerText(name, table.lower(), words[behind_the_name:])


def _words(sql: str) -> tuple[str, ...]:
    pieces = (match.groupdict() for match in _PIECE.finditer(sql))
    found = (next((piece for piece in groups.values() if piece is not None), None) for groups in pieces)
    return tuple(piece.lower() for piece in found if piece is not None)
