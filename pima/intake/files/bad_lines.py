"""Reports on a file's bad lines: one line of text for each rule that was broken, never the values
at fault."""

from collections.abc import Sequence
from dataclasses import dataclass

from pima.core.declared.features import Features
from pima.core.declared.identifiers import FORGOTTEN, LARGEST_GIVEN_ID, LONGEST_KEY
from pima.core.rows.cells import LONGEST_FIELD
from pima.core.rows.validation import OUT_OF_RANGE, UNKNOWN_CODE
from pima.intake.raw_rows import BadLine
from pima.logs import counted, in_brackets

_LINES_NAMED = 5

_OR_NOTHING = "or nothing where it is not known"
_OF_TYPE = "of a source that the settings declare, of its"
_A_MOMENT = f"expected a time or a day since 1900, as 2026-02-28 13:00, {_OR_NOTHING}"
EXPECTED = {
    "bad_acted_at": _A_MOMENT,
    "bad_id": f"an id is a whole number from 1 to {LARGEST_GIVEN_ID}, and each line has one",
    "bad_index_at": _A_MOMENT,
    "bad_outcome_at": _A_MOMENT,
    "bad_outcome": "expected 0, 1 or nothing",
    "bad_person_key": (
        f"expected text of at most {LONGEST_KEY} bytes, {_OR_NOTHING}; {_OF_TYPE} person_type, and "
        "beside an id spelled as a pull spells it"
    ),
    "bad_source": (
        "expected a lower-case letter, then lower-case letters, digits and underscores, 30 in all"
    ),
    "bad_source_key": (
        f"expected text of at most {LONGEST_KEY} bytes in each line; {_OF_TYPE} key_type"
    ),
    "duplicate_id": "expected each id once; an earlier line has the same",
    "duplicate_source_key": "expected each key of a source once; an earlier line has the same",
    "field_too_long": f"a cell has at most {LONGEST_FIELD:,} characters",
    FORGOTTEN: "expected rows of people who were not forgotten (jobs.forget)",
    "half_written_line": "expected a whole line; it is cut off, or a quote is left open",
    "new_patient_without_measurements": (
        "expected a known patient's id or key, or this column, which a new patient needs"
    ),
    "not_a_number": f"expected digits, with a point before decimals, {_OR_NOTHING}",
    "not_finite": f"expected a finite number, {_OR_NOTHING}",
    "not_utf8": "expected digits; the cell is not UTF-8",
    "nul_byte": "expected digits; the cell holds a NUL byte",
    "wrong_field_count": "expected as many cells as the first line has",
}


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """Lines of one file that are bad for the same reason."""

    reason: str
    field: str | None
    """The column, if one is at fault."""
    expected: str
    """A description of what would have been right."""
    lines: int
    """The number of such lines."""
    first_lines: tuple[int, ...]
    """The line numbers of the first of these."""

    def __str__(self) -> str:
        first = ", ".join(map(str, self.first_lines))
        if self.lines > len(self.first_lines):
            first += ", ..."
        where = f"{counted(self.lines, 'line')} ({first})"
        if self.lines == 1:
            where = f"line {first}"
        return f"{where}: {self.reason}{in_brackets(self.field)}: {self.expected}"


def broken_rules_of(bad: Sequence[BadLine], features: Features) -> list[BrokenRule]:
    """Group bad lines by reason and column, in the order of their first lines."""
    found: dict[tuple[str, str | None], list[int]] = {}
    for line in sorted(bad, key=lambda line: line.line):
        found.setdefault((line.reason, line.field), []).append(line.line)
    return [
        BrokenRule(*rule, _expected(*rule, features), len(n), tuple(n[:_LINES_NAMED]))
        for rule, n in found.items()
    ]


def report(bad: Sequence[BadLine], features: Features) -> str:
    """Write the reasons why a file is refused."""
    head = f"{counted(len(bad), 'bad line')} (--partial would load the others):"
    return "\n".join([head, *(f"  {rule}" for rule in broken_rules_of(bad, features))])


def _expected(reason: str, field: str | None, features: Features) -> str:
    feature = next((feature for feature in features if feature.name == field), None)
    if feature is None or reason not in (OUT_OF_RANGE, UNKNOWN_CODE):
        return EXPECTED[reason]
    missing = ", or 0 or nothing where not measured" if feature.zero_is_missing else ""
    if reason == UNKNOWN_CODE:
        labels = [f"{code} ({label})" for code, label in sorted(feature.codes.items())]
        return f"expected one of {', '.join(labels)}{missing}"
    unit = in_brackets(feature.unit)
    return f"expected {feature.low:g} to {feature.high:g}{unit}{missing}"
