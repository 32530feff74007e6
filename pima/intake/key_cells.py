"""Whose row it is, as a file says it: by a source and a key there, by a person, or by both."""

import re
from collections.abc import Callable, Mapping, Sequence

from pima.core.features import KEYS
from pima.core.keys import canonical_text
from pima.intake.header import is_not_utf8
from pima.intake.patient_rows import BadLine

Keys = tuple[str | None, ...]


def reading_keys(at: Mapping[str, int]) -> Callable[[int, Sequence[str | None]], Keys | BadLine] | None:
    """A function from a line's number and its cells to its keys, as the tables have them; None where the file has none.

    `at` says in which cell each column stands.
    """
    positions = [(name, at[name]) for name in KEYS if name in at]
    if not positions:
        return None

    def read(line: int, cells: Sequence[str | None]) -> Keys | BadLine:
        keys: list[str | None] = []
        for name, position in positions:
            cell = cells[position] or ""
            key = _canonical(name, cell)
            if key is None and (cell or name != "person_key"):
                return BadLine(line, "not_utf8" if is_not_utf8(cell) else f"bad_{name}", name)
            keys.append(key)
        return tuple(keys)

    return read


def _canonical(name: str, cell: str) -> str | None:
    if name == "source":
        return cell if re.fullmatch(r"[a-z][a-z0-9_]{0,29}", cell) else None
    return canonical_text(cell)
