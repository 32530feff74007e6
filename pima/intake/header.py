"""The header of a patient file: which column is which, and all that is wrong with it at once.

Names of columns may be shown; but a first line may as well be a patient's row. So names are shown only where a known
one stands beside them and nothing in the line looks like a value.
"""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pima.core.cells import is_not_utf8
from pima.core.features import KEYS, Declaration, canonical_name, hinted_name, is_number
from pima.intake.opened_file import LOAD, made_utf8, refused

_LIKE_ENOUGH = 0.6
_NAMES_SHOWN = 20
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Header:
    """What the cells of a line are."""

    columns: tuple[str, ...]
    """Of `id`, the keys, the features and `outcome`, those that are read, in the file's order."""
    positions: tuple[int, ...]
    """Where in a line they stand, counted from 0."""
    width: int
    """Cells of a line, those that are ignored included."""


def known_columns(declaration: Declaration) -> tuple[str, ...]:
    """What a file may hold besides keys."""
    return ("id", *declaration.names, "outcome")


def bare_header(declaration: Declaration) -> Header:
    """Of a file without one: the features in order, and the outcome."""
    columns = (*declaration.names, "outcome")
    return Header(columns, tuple(range(len(columns))), len(columns))


def read_header(file: str, cells: Sequence[str], declaration: Declaration, ignored: Sequence[str]) -> Header:
    """Which column is which, but for those to ignore. Raises FileRefused with all that is wrong."""
    left_out = _positions_to_ignore(file, cells, declaration, ignored)
    columns = {n: canonical_name(cell, declaration) for n, cell in enumerate(cells) if n not in left_out}
    first_at = {column: n for n, column in reversed(columns.items())}
    faulty = [n for n, column in columns.items() if column is None or first_at[column] != n]
    if faulty:
        raise refused(file, _report(cells, declaration, faulty))
    return Header(tuple(filter(None, columns.values())), tuple(columns), len(cells))


# What a first line that is no header may begin with, as regular expressions, and what it then looks like.
_NO_HEADERS = (
    (r"(?i)sep=", "the spreadsheet's own sep= line"),
    (r"#", "a comment"),
    (r"(?i)<(!|\?xml|html|head|body|table)", "HTML or XML, which is no CSV"),
)


def no_header(lines: Sequence[str], declaration: Declaration) -> str | None:
    """What line 1 looks like where it is neither a header nor a row; None where nothing is to be said of it."""
    looks = next((looks for begins, looks in _NO_HEADERS for line in lines[:1] if re.match(begins, line)), None)
    cells = [line.count(",") + 1 for line in lines[:2]]
    if looks is None and len(cells) == 2 and cells[0] == 1 < cells[1] and not _known(lines[:1], declaration):
        looks = "a title, being one cell before lines of several"
    if looks is None:
        return None
    return f"Line 1 looks like {looks} (no_header). Expected column names there, or the first patient's row."


def other_delimiter(lines: Sequence[str], declaration: Declaration) -> str | None:
    """What to do with a file whose first lines seem to be separated by something else than commas, else None."""
    for delimiter, name, typed in ((";", "semicolons", ";"), ("\t", "tabs", r"\t"), ("|", "vertical bars", "|")):
        cells = [cell.strip('" ') for line in lines[:1] for cell in line.split(delimiter)]
        are_numbers = all(is_number(cell.replace(",", ".")) for cell in cells)
        if len(cells) > 1 and (are_numbers or _known(cells, declaration) > _known(lines[0].split(","), declaration)):
            begun = f"Line 1 seems to be separated by {name} (wrong_delimiter)"
            if any("," in line for line in lines):
                return (
                    f"{begun}, and commas stand within cells: whether they mark decimals or thousands can't be told. "
                    "Save the file anew, separated by commas, with points in decimals and no mark for thousands."
                )
            # A comma further down makes a cell too many, which refuses the file.
            return f"{begun}. Expected commas. This makes them so: tr '{typed}' ',' < FILE {LOAD}"
    return None


def _known(cells: Sequence[str], declaration: Declaration) -> int:
    return sum(canonical_name(cell.strip('"'), declaration) is not None for cell in cells)


def _positions_to_ignore(file: str, cells: Sequence[str], declaration: Declaration, ignored: Sequence[str]) -> set[int]:
    names = [cell.strip().casefold() for cell in cells]
    asked = {name.strip().casefold(): name for name in ignored}
    left_out = {n for n, name in enumerate(names) if name in asked}
    kept = {canonical_name(cell, declaration) for n, cell in enumerate(cells) if n not in left_out}
    for folded, name in asked.items():
        if folded not in names:
            columns = (
                f" Its columns: {', '.join(map(_shown, cells[:_NAMES_SHOWN]))}."
                if _shows_names(cells, declaration)
                else ""
            )
            raise refused(file, f"--ignore {_shown(name)}: it has no such column (unknown_column).{columns}")
        column = canonical_name(name, declaration)
        # An id may be left out where a source's key says whose the row is.
        is_needed = column in declaration.names or (column == "id" and "source_key" not in kept)
        if is_needed and column not in kept:
            raise refused(file, f"--ignore {_shown(name)}: ids and measurements can't be left out (needed_column).")
    return left_out


def _report(cells: Sequence[str], declaration: Declaration, faulty: Sequence[int]) -> str:
    shown = faulty[:_NAMES_SHOWN]
    there = {canonical_name(cell, declaration) for cell in cells}
    known, lacking = known_columns(declaration), list[str]()
    head = "Line 1 is no header of known columns; it may be a patient's row, so its cells are not shown:"
    faults = dict.fromkeys(shown, ": unknown (unknown_column)")
    if _shows_names(cells, declaration):
        head = "Its header can't be used as it is:"
        unknown = {n: cells[n] for n in shown if not canonical_name(cells[n], declaration)}
        meant = _meant(unknown, set(known) - there, declaration)
        if not {"id", "source_key"} & (there | set(meant.values())):
            # Without these the file can't be loaded, whatever is left out of it.
            lacking = [name for name in declaration.names if name not in there | set(meant.values())]
        faults = {n: _unknown(name, meant.get(n), may_be_left_out=not lacking) for n, name in unknown.items()}
    faults |= {
        n: f": {column} for the second time (duplicate_column)"
        for n in shown
        if (column := canonical_name(cells[n], declaration))
    }
    told = [f"  Column {n + 1}{faults[n]}" for n in shown]
    rest = [f"  and {len(faulty) - len(shown)} more"] if len(faulty) > len(shown) else []
    rest += [f"Line 1 is not UTF-8 (not_utf8). {made_utf8('LATIN1')}"] if any(map(is_not_utf8, cells)) else []
    rest += [f"It lacks, and without ids it needs: {', '.join(lacking)}."] if lacking else []
    return "\n".join([head, *told, *rest, f"Known columns: {', '.join((*known, *KEYS))}."])


def _unknown(cell: str, meant: str | None, may_be_left_out: bool) -> str:
    shown, advice = _shown(cell), ""
    if meant is not None:
        advice = f"; is {meant} meant?"
    elif may_be_left_out:
        named = shlex.quote(cell.strip()) if shown == _quoted(cell) else "with its name"
        advice = f"; --ignore {named} leaves it out"
    return f" {shown}: unknown (unknown_column){advice}"


def _shows_names(cells: Sequence[str], declaration: Declaration) -> bool:
    """Whether the line is a header beyond doubt."""
    are_names = all(re.match(r"\s*([^\W\d]|$)", cell) and (not cell or not is_number(cell)) for cell in cells)
    return are_names and _known(cells, declaration) > 0


def _shown(name: str) -> str:
    """A name for a terminal: no control characters, nothing that turns text around, and not without end."""
    printable = "".join(character if character.isprintable() else "?" for character in name.strip())
    return _quoted(printable if len(printable) <= _LONGEST_SHOWN else f"{printable[:_LONGEST_SHOWN]}...")


def _quoted(name: str) -> str:
    return f'"{name.strip()}"'


def _meant(unknown: Mapping[int, str], lacking: Collection[str], declaration: Declaration) -> dict[int, str]:
    """The known column, of those that the header lacks, that each name resembles most; each is offered once."""
    meant: dict[int, str] = {}
    for n, name in unknown.items():
        bare = re.split(r"[(\[]", name.strip()[:_LONGEST_SHOWN])[0].strip()  # without its unit
        certain = hinted_name(re.sub(r"\W", "", bare), declaration) or canonical_name(bare, declaration)
        free = sorted(set(lacking) - set(meant.values()))
        for known in [certain] if certain else get_close_matches(bare.lower(), free, 1, _LIKE_ENOUGH):
            if known in free:
                meant[n] = known
    return meant
