"""What a column could be as a feature, or why it can be none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pima.core.features import LARGEST_CODE
from pima.core.features import is_number
from pima.suggesting import cells
from pima.suggesting.column_names import names_an_address, names_things
from pima.suggesting.columns import MOST_WORDS, Column
from pima.suggesting.outcomes import two_values
from pima.suggesting.ranges import Range, range_of, zero_is_apart
from pima.suggesting.shown import FEWER, SHOWN_FROM, rows_shown

_MOST_IN_OTHER_WORDS = 0.1
"""Of the rows that have one: where more have rare words, it is no list of words."""
_ROWS_OF_A_LIST = 1_000
"""So many whole numbers, each another one, are numbers of a list."""
_FEW_NUMBERS = 10
_DATES = (19_000_101, 21_001_231)


@dataclass(frozen=True, slots=True)
class Suggested:
    """A feature as it is suggested."""

    column: Column
    kind: Literal["number", "whole number", "category", "yes or no"]
    missing: int
    """Rows that lack it."""
    remarks: tuple[str, ...] = ()
    """What is to be known of it besides."""
    range: Range | None = None
    """Of a number."""
    zero_is_missing: bool = False
    codes: Mapping[int, str] | None = None
    """Of a category, each code's label."""
    has_words: bool = False
    """Whether the labels are the words that stand in the column."""

    @property
    def inputs(self) -> int:
        """Columns of the model's first layer."""
        return len(self.codes or (1,))


def suggested(column: Column) -> Suggested | str:
    """The feature, or the reason why the column is none."""
    reason = _reason_against(column)
    if reason is not None:
        return reason
    numbers = column.numbers.count + column.kinds.get(cells.NOT_FINITE, 0)
    return _of_numbers(column) if 2 * numbers >= column.known else _of_words(column)


def _reason_against(column: Column) -> str | None:
    kinds = {kind: column.kinds.get(kind, 0) for kind in (cells.OTHER, cells.DATE, cells.UUID_TEXT, cells.COMMA)}
    most = max(kinds, key=lambda kind: kinds[kind])
    if column.known == 0:
        return "empty"
    if column.known < SHOWN_FROM:
        return f"{FEWER} have it, so nothing is said of it"
    if 2 * kinds[most] > column.known:
        return _REASONS[most].format(", ".join(column.other_types))
    if column.words and column.known - max(column.words.values()) < SHOWN_FROM:
        return f"the same value in all rows, or in all but {FEWER}"
    return _reason_for_a_key(column)


_REASONS = {
    cells.OTHER: "{}, which is neither number nor text",
    cells.DATE: "dates or times; a query can make an age or a number of days of it",
    cells.UUID_TEXT: "an identifier (UUIDs)",
    cells.COMMA: "decimals with a comma; pima reads points, so replace the comma in a query or in the file",
}


def _reason_for_a_key(column: Column) -> str | None:
    if column.numbers.count and not column.numbers.is_whole:
        return None
    numbers = column.numbers
    is_numbered = numbers.count == column.rows and numbers.largest[-1] - numbers.smallest[0] == column.rows - 1
    is_list = numbers.count == 0 or column.rows >= _ROWS_OF_A_LIST or is_numbered
    if column.is_unique and (is_list or names_things(column.name)):
        return "an identifier or free text: different in each row"
    if names_things(column.name) and column.words is None:
        return "an identifier, by its name and its many values"
    if names_an_address(column.name) and numbers.count and two_values(column) is None:
        return "where somebody lives or how to call them, by its name: such digits measure nothing"
    return None


def _of_numbers(column: Column) -> Suggested | str:
    numbers = column.numbers
    whole = numbers.is_whole
    if numbers.count < SHOWN_FROM:
        return f"{FEWER} hold a number that is finite"
    if whole and _DATES[0] <= numbers.smallest[-1] and numbers.largest[0] <= _DATES[1]:
        return "dates, written as numbers"
    if whole and (found := _coded(column)) is not None:
        return found
    apart = zero_is_apart(numbers)
    bounds = range_of(numbers, without_zeros=apart)
    if bounds is None:
        return "numbers beyond what a model carries; another unit helps"
    missing = column.missing + (numbers.zeros if apart else 0)
    remarks = (*_of_zeros(column, apart), *_of_other_cells(column.known - numbers.count), *_of_few(column))
    return Suggested(column, "whole number" if whole else "number", missing, remarks, bounds, apart)


def _coded(column: Column) -> Suggested | None:
    """Two whole numbers are codes."""
    values = two_values(column)
    if values is None or not (values.no.isdecimal() and values.yes.isdecimal()):
        return None
    codes = sorted((int(values.no), int(values.yes)))
    if codes[1] >= LARGEST_CODE:
        return None
    remarks = _of_other_cells(values.others)
    if codes == [0, 1]:
        return Suggested(column, "yes or no", column.missing, remarks, codes={0: "no", 1: "yes"})
    remarks = (*remarks, "two codes: say in words what each of them means")
    return Suggested(column, "category", column.missing, remarks, codes={code: str(code) for code in codes})


def _of_zeros(column: Column, apart: bool) -> tuple[str, ...]:
    zeros = column.numbers.zeros
    if apart:
        return (f"{rows_shown(zeros)} hold 0, far from all others: taken for not measured",)
    if column.numbers.negatives or 4 * zeros < column.numbers.count:
        return ()
    return (f"{rows_shown(zeros)} hold 0; if that is not measured, add zero_is_missing = true",)


def _of_few(column: Column) -> tuple[str, ...]:
    different = len(column.words or ())
    if not column.numbers.is_whole or not 2 < different <= _FEW_NUMBERS:
        return ()
    return (f'{different} different whole numbers: if they are codes, make it kind = "category" with codes',)


def _of_other_cells(rows: int) -> tuple[str, ...]:
    return (f"{rows_shown(rows)} hold something else, and are rejected",) if rows else ()


def _of_words(column: Column) -> Suggested | str:
    if column.words is None:
        return f"free text, or a list of more than {MOST_WORDS} different words"
    words = {word: rows for word, rows in column.words.items() if rows >= SHOWN_FROM and _can_be_a_label(word)}
    others = column.known - sum(words.values())
    if len(words) < 2 or others > _MOST_IN_OTHER_WORDS * column.known:
        return f"free text: too many of its words stand in {FEWER} each"
    values = two_values(column)
    is_yes_or_no = values is not None and values.is_clear
    order = [values.no, values.yes] if values is not None and is_yes_or_no else sorted(words)
    codes = {code: column.spelled.get(word, word) for code, word in enumerate(order)}
    kind: Literal["yes or no", "category"] = "yes or no" if is_yes_or_no else "category"
    remarks = _of_other_cells(others)
    return Suggested(column, kind, column.missing, remarks, codes=codes, has_words=True)


def _can_be_a_label(word: str) -> bool:
    return word.isprintable() and not is_number(word)
