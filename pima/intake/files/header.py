"""The header of a patient file: which column is which, and a report of all that is wrong with it.

Names of columns may be shown, but a first line may be a patient's row instead. So names are shown
only if one of them is known and nothing in the line looks like a value.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pima.core.declared.columns import of_kind
from pima.core.declared.features import (
    Declaration,
    canonical_name,
    hinted_name,
    is_number,
    names_of,
)
from pima.intake.files.opened_file import refused

_NAMES_SHOWN = 20
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Header:
    """The meaning of the cells of a line."""

    columns: tuple[str, ...]
    """The columns that are read, of `id`, the keys, features and scores, `outcome` and the times,
    in the file's order."""
    positions: tuple[int, ...]
    """Their positions in a line, from 0."""
    width: int
    """Cells of a line, including ignored ones."""


def read_header(
    file: str, cells: Sequence[str], declaration: Declaration, ignored: Sequence[str]
) -> Header:
    """Find which column is which, except those to ignore. Raises FileRefused with all that is
    wrong."""
    left_out = _positions_to_ignore(file, cells, declaration, ignored)
    columns = {
        n: canonical_name(cell, declaration) for n, cell in enumerate(cells) if n not in left_out
    }
    first_at = {column: n for n, column in reversed(columns.items())}
    faulty = [n for n, column in columns.items() if column is None or first_at[column] != n]
    if faulty:
        raise refused(file, _report(cells, declaration, faulty))
    return Header(tuple(filter(None, columns.values())), tuple(columns), len(cells))


def _positions_to_ignore(
    file: str, cells: Sequence[str], declaration: Declaration, ignored: Sequence[str]
) -> set[int]:
    names = [cell.strip().casefold() for cell in cells]
    asked = {name.strip().casefold(): name for name in ignored}
    for folded, name in asked.items():
        if folded not in names:
            raise refused(file, f"--ignore {_shown(name)}: it has no such column (unknown_column).")
    left_out = {n for n, name in enumerate(names) if name in asked}
    columns = [canonical_name(cell, declaration) for cell in cells]
    lost = {columns[n] for n in left_out}
    kept = {column for n, column in enumerate(columns) if n not in left_out}
    # An id may be left out if a source's key identifies the row.
    if "id" in lost and not {"id", "source_key"} & kept:
        raise refused(file, "--ignore: ids can't be left out (needed_column).")
    return left_out


def _report(cells: Sequence[str], declaration: Declaration, faulty: Sequence[int]) -> str:
    shows_names = _shows_names(cells, declaration)
    head = (
        "Line 1 is no header of known columns; it may be a patient's row, so its cells are not "
        "shown:"
    )
    if shows_names:
        head = "Its header can't be used as it is:"
    told = [head]
    for n in faulty[:_NAMES_SHOWN]:
        if (column := canonical_name(cells[n], declaration)) is not None:
            told.append(f"  Column {n + 1}: {column} for the second time (duplicate_column)")
        else:
            line = f"  Column {n + 1}: unknown (unknown_column)"
            if shows_names:
                line = f"  Column {n + 1} {_shown(cells[n])}: unknown (unknown_column)"
                if meant := hinted_name(cells[n], declaration):
                    line += f"; is {meant} meant?"
            told.append(line)
    if len(faulty) > _NAMES_SHOWN:
        told.append(f"  and {len(faulty) - _NAMES_SHOWN} more")
    times = ("outcome_at", *of_kind("moment"))
    known = ", ".join(("id", *names_of(declaration.declared), "outcome", *times, *of_kind("key")))
    return "\n".join([*told, f"Known columns: {known}. --ignore and its name leave a column out."])


def _shows_names(cells: Sequence[str], declaration: Declaration) -> bool:
    """Whether the line is a header beyond doubt."""
    are_names = all(
        re.match(r"\s*([^\W\d]|$)", cell) and (not cell or not is_number(cell)) for cell in cells
    )
    return are_names and any(canonical_name(cell, declaration) for cell in cells)


def _shown(name: str) -> str:
    """Make a name safe for a terminal: no control characters, nothing that reverses text, and not
    too long."""
    shown = "".join(character if character.isprintable() else "?" for character in name.strip())
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN]}..."
    return f'"{shown}"'
