"""A draft of declaration and mapping: what each column of a table is taken for, and why."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from pima.core.arrays import Float64Array
from pima.core.features import KEYS, LARGEST, LARGEST_CODE, MOST_FEATURES, MOST_INPUTS, SMALLEST, folded_name, is_number
from pima.extras.suggest import column_names as names
from pima.extras.suggest.tables import (
    FEWER,
    MOST_WORDS,
    SHOWN_FROM,
    Table,
    TableColumn,
    is_unicode,
    rows_by_word,
    rows_shown,
)
from pima.logs import counted

_NO_AND_YES = re.compile(
    r"0/1|false/true|f/t|no/yes|n/y|negative/positive|neg/pos|-/\+|absent/present|nein/ja|n/j|non/oui|n/o|no/s[iìí]"
    "|não/sim"
)
_MOST_LOOKED_AT = 8
"""Columns that may be parts of a key."""
_LEAST_PERSONS = 0.05
"""Of the rows: a column of fewer different values says where, or by whom, and not whose."""
_MARGINS = ((2_000, 1.5, 2.5), (math.inf, 0.5, 1.5))
"""Up to so many rows: the margin beyond each 20th number, as a share of the distance between the two; and by what a
number above 0 may be lower than the 20th. Of many rows the 20th is an extreme already, of few it is not."""
_FEW_ROWS = 200
_MOST_ZEROS = 0.5
"""Of the rows: where more have 0, it is a measurement like others, such as no cigarette a day."""
_MOST_IN_OTHER_WORDS = 0.1
"""Of the rows that have one: where more have rare words, it is no list of words."""
_ROWS_OF_A_LIST = 1_000
"""So many whole numbers, each another one, are numbers of a list."""
_DATES = (19_000_101, 21_001_231)
_NO_FEATURE = {
    "other": "neither number nor text",
    "date": "dates or times; a query can make an age or a number of days of it",
    "uuid": "an identifier (UUIDs)",
    "comma": "decimals with a comma; pima reads points, so replace the comma in a query or in the file",
}


class TwoValues(NamedTuple):
    """The two values of a column, as words are compared."""

    no: str
    """What means 0."""
    yes: str
    """What means 1."""
    is_clear: bool
    """Whether the words say which is which."""
    known: int
    """Rows that hold one of them."""
    rarer: int
    """Rows that hold the rarer one."""


class LikelyOutcome(NamedTuple):
    """The column that is predicted, perhaps."""

    column: TableColumn
    values: TwoValues
    others: tuple[str, ...]
    """Other columns that it might be."""


class Range(NamedTuple):
    """The numbers that are taken for real, and how many rows have others.

    The bounds are no patient's values. They shall keep out another unit and a slipped point, and let in every patient.
    """

    low: float
    high: float
    below: int
    above: int


class Suggested(NamedTuple):
    """A feature as it is suggested."""

    column: TableColumn
    kind: str
    """A number, a whole number, a category, or a yes or no."""
    missing: int
    """Rows that lack it."""
    remarks: Sequence[str]
    """What is to be known of it besides."""
    range: Range | None = None
    """Of a number."""
    zero_is_missing: bool = False
    codes: Mapping[int, str] = {}
    """Of a category, each code's label."""
    has_words: bool = False
    """Whether the labels are the words that stand in the column."""


class Refused(NamedTuple):
    """A column that is no feature."""

    column: str
    reason: str
    is_left_out: bool = True
    """Whether `load` has to be told to leave it out of a file."""


class Draft(NamedTuple):
    """A draft: for each column what it is taken for."""

    table: Table
    names: Mapping[str, str]
    """For each column the plain name of the feature, or of the outcome, that is made of it."""
    outcome: LikelyOutcome | None
    key: tuple[TableColumn, ...]
    """The columns that tell each row from all others; none where nothing does."""
    person: TableColumn | None
    """What says whose a row is."""
    changed_since: str | None
    """A column that may say when a row changed last."""
    outcome_at: str | None
    """A column that may say when the outcome became known."""
    features: Sequence[Suggested]
    refused: Sequence[Refused]


def draft_of(table: Table) -> Draft | str:
    """The draft; in its place why there is none."""
    refused = _unusable_names(table)
    columns = [column for column in table.columns if column.name not in {each.column for each in refused}]
    outcome = _outcome(table, columns)
    key = _key(columns)
    person = _person(columns)
    features: list[Suggested] = []
    for column in columns:
        if outcome is None or column is not outcome.column:
            found = _taken_for(column, outcome, key, person)
            inputs = sum(len(each.codes) or 1 for each in (*features, found) if isinstance(each, Suggested))
            if isinstance(found, str):
                refused.append(Refused(column.name, found))
            elif len(features) == MOST_FEATURES or inputs > MOST_INPUTS:
                refused.append(Refused(column.name, f"beyond {MOST_FEATURES} features or {MOST_INPUTS} inputs"))
            else:
                features.append(found)
    if not features:
        # A name may be any text of any length; here it would go to a terminal.
        reasons = Counter(each.reason for each in refused)
        told = "; ".join(f"{counted(columns, 'column')}: {reason}" for reason, columns in reasons.items())
        return f"None of its {counted(len(table.columns), 'column')} can be a feature ({told})."
    times = [column.name for column in columns if 2 * column.kinds["date"] > column.known]
    used = [each.column.name for each in features] + ([outcome.column.name] if outcome else [])
    return Draft(
        table=table,
        names=names.plain_names(used, () if table.source else [each.column for each in refused]),
        outcome=outcome,
        key=key,
        person=person,
        changed_since=next((name for name in times if names.has_word(name, names.CHANGED)), None),
        outcome_at=next((name for name in times if names.has_word(name, names.KNOWN_SINCE)), None),
        features=features,
        refused=refused,
    )


def _unusable_names(table: Table) -> list[Refused]:
    """Columns that can't be named, in a file also those that `load` would take for something else, once each."""
    times = Counter(column.name for column in table.columns)
    folded_times = Counter(folded_name(column.name) for column in table.columns)
    found = {}
    for column in table.columns:
        name = column.name
        if table.source is None and (reason := _reason_in_a_file(column, folded_times)) is not None:
            found[name] = Refused(name, *reason)
        elif not name.strip() or not is_unicode(name):
            found[name] = Refused(name, "a name that is no text")
        elif times[name] > 1:
            found[name] = Refused(name, "a name that several columns have")
    return list(found.values())


def _reason_in_a_file(column: TableColumn, folded_times: Mapping[str, int]) -> tuple[str, bool] | None:
    """The reason, and whether `load` has to leave it out."""
    name, numbers = folded_name(column.name), column.numbers
    if not column.name.isprintable():
        return "a name with characters that can't be printed: rename it", True
    if folded_times[name] > 1:
        return "a name that differs from another in case, spaces or underscores: rename one", True
    if name in map(folded_name, KEYS):
        return "what load takes for the key of a row or a person", False
    if name == "outcome" and two_values(column) is None:
        return "what load takes for the outcome, but it has not two values: rename it", True
    if name != "id":
        return None
    is_id = column.is_unique and column.is_whole and len(numbers) == column.rows and numbers[0] > 0
    but = "" if is_id else ", but that is a whole number above 0: rename it"
    return f"what load takes for the patient's id{but}", False


def two_values(column: TableColumn) -> TwoValues | None:
    """The two values of a column; None where it has others."""
    words = column.words or {}
    pair = [word for word, rows in words.items() if rows >= SHOWN_FROM or len(words) <= 2]
    known = sum(words[word] for word in pair)
    if len(pair) != 2 or column.known - known >= SHOWN_FROM:
        return None
    yes, no = sorted(pair, key=lambda word: (words[word], word))
    rarer = words[yes]
    if _NO_AND_YES.fullmatch(f"{yes}/{no}"):
        yes, no = no, yes
    return TwoValues(no, yes, _NO_AND_YES.fullmatch(f"{no}/{yes}") is not None, known, rarer)


def _outcome(table: Table, columns: Sequence[TableColumn]) -> LikelyOutcome | None:
    """The likeliest; of equally likely ones the last, since outcomes come last."""
    if not table.has_names:
        columns = columns[-1:]
    elif table.source is None:
        # What `load` takes for it.
        columns = [column for column in columns if folded_name(column.name) == "outcome"] or columns
    likely = []
    for n, column in enumerate(columns):
        values, is_named = two_values(column), names.has_word(column.name, names.OUTCOME)
        if values is not None and column.known >= SHOWN_FROM and (values.is_clear or is_named):
            # What is not known yet of some rows is to be predicted.
            likely.append((4 * is_named + 2 * values.is_clear + (column.missing > 0), n, column, values))
    if not likely:
        return None
    (_, _, column, values), *rest = sorted(likely, key=lambda each: each[:2], reverse=True)
    return LikelyOutcome(column, values, tuple(other.name for _, _, other, _ in rest))


def _key(columns: Sequence[TableColumn]) -> tuple[TableColumn, ...]:
    """One column, else the first two or three together; none where nothing tells the rows apart."""
    columns = [column for column in columns if column.key_type is not None and not names.is_no_key(column.name)]
    parts = [column for column in columns if names.may_be_in_a_key(column.name)]
    # What is named like a key comes first, and of those what is not a person's.
    unique = [column for column in columns if column.is_unique]
    if unique:
        return (min(unique, key=lambda column: (column not in parts, names.names_a_person(column.name))),)
    whole = [column for column in parts if not column.missing][:_MOST_LOOKED_AT]
    for some in chain(combinations(whole, 2), combinations(whole, 3)):
        may_be_unique = math.prod(column.different_keys for column in some) >= some[0].rows
        if may_be_unique and not pd.DataFrame({column.name: column.keys for column in some}).duplicated().any():
            return some
    return ()


def _person(columns: Sequence[TableColumn]) -> TableColumn | None:
    """The first column with a name like a person's, each of whom may have several rows."""
    for column in columns:
        if column.key_type is None or not names.names_a_person(column.name) or names.is_no_key(column.name):
            continue
        if max(SHOWN_FROM, _LEAST_PERSONS * column.known) <= column.different_keys < column.known:
            return column
    return None


def _taken_for(
    column: TableColumn, outcome: LikelyOutcome | None, key: Sequence[TableColumn], person: TableColumn | None
) -> Suggested | str:
    """The feature, or the reason why the column is none."""
    if column is person:
        return "the person"
    if column in key:
        return "the key" if len(key) == 1 else "part of the key"
    if reason := _reason_against(column) or _reason_for_an_identifier(column):
        return reason
    numbers = len(column.numbers) + column.kinds["not finite"]
    found = _of_numbers(column) if 2 * numbers >= column.known else _of_words(column)
    if isinstance(found, Suggested) and outcome is not None and _tells(column, outcome):
        return "says the outcome: each of its values stands beside one outcome only"
    return found


def _tells(column: TableColumn, outcome: LikelyOutcome) -> bool:
    """Whether each value of the column stands beside one outcome only, so that it is the outcome, or a part of it."""
    if column.words is None:
        return False
    spelled, rows_of = outcome.column.spelled, {}
    for word in (outcome.values.no, outcome.values.yes):
        alike = [spelling for spelling in spelled.cat.categories if spelling.casefold() == word]
        rows_of[word] = rows_by_word(column.spelled[spelled.isin(alike)])
    beside = pd.DataFrame(rows_of).fillna(0)
    beside = beside[beside.sum(axis=1) > 0]
    rows = beside.sum()
    # What stands in a row or two stands beside one outcome in any case.
    is_enough = rows.min() >= SHOWN_FROM and rows.sum() >= SHOWN_FROM * len(beside)
    return bool(is_enough and not (beside > 0).all(axis=1).any())


def _reason_against(column: TableColumn) -> str | None:
    if column.known == 0:
        return "empty"
    if column.known < SHOWN_FROM:
        return f"{FEWER} have it, so nothing is said of it"
    most = max(_NO_FEATURE, key=lambda kind: column.kinds[kind])
    if 2 * column.kinds[most] > column.known:
        return _NO_FEATURE[most]
    if column.words and column.known - max(column.words.values()) < SHOWN_FROM:
        return f"the same value in all rows, or in all but {FEWER}"
    return None


def _reason_for_an_identifier(column: TableColumn) -> str | None:
    numbers, is_named = column.numbers, names.names_things(column.name)
    if not column.is_whole:
        return None
    is_numbered = len(numbers) == column.rows and numbers[-1] - numbers[0] == column.rows - 1
    is_list = len(numbers) == 0 or column.rows >= _ROWS_OF_A_LIST or is_numbered
    if column.is_unique and (is_list or is_named):
        return "an identifier or free text: different in each row"
    if column.key_type is None and column.words is None and names.names_a_person(column.name):
        return "named like a person's, but its values are of several types or prose: a query can make one type of them"
    if is_named and column.words is None:
        return "an identifier, by its name and its many values"
    if names.has_word(column.name, names.ADDRESS) and len(numbers) and two_values(column) is None:
        return "where somebody lives or how to call them, by its name: such digits measure nothing"
    return None


def _of_numbers(column: TableColumn) -> Suggested | str:
    numbers, is_whole, different = column.numbers, column.is_whole, len(column.words or ())
    if len(numbers) < SHOWN_FROM:
        return f"{FEWER} hold a number that is finite"
    if is_whole and _DATES[0] <= numbers[SHOWN_FROM - 1] and numbers[-SHOWN_FROM] <= _DATES[1]:
        return "dates, written as numbers"
    if is_whole and (found := _coded(column)) is not None:
        return found
    is_apart, zeros = zero_is_apart(numbers), int((numbers == 0).sum())
    bounds = range_of(numbers[numbers > 0] if is_apart else numbers)
    if bounds is None:
        return "numbers beyond what a model carries; another unit helps"
    remarks = []
    if is_apart:
        remarks = [f"{rows_shown(zeros)} hold 0, far from all others: taken for not measured"]
    elif 4 * zeros >= len(numbers) and numbers[0] >= 0:
        remarks = [f"{rows_shown(zeros)} hold 0; if that is not measured, add zero_is_missing = true"]
    remarks += _of_other_cells(column.known - len(numbers))
    if is_whole and 2 < different <= 10:
        remarks.append(f'{different} different whole numbers: if they are codes, make it kind = "category" with codes')
    missing = column.missing + (zeros if is_apart else 0)
    return Suggested(column, "whole number" if is_whole else "number", missing, remarks, bounds, is_apart)


def _coded(column: TableColumn) -> Suggested | None:
    """Two whole numbers are codes."""
    values = two_values(column)
    if values is None or not (values.no.isdecimal() and values.yes.isdecimal()):
        return None
    codes = sorted((int(values.no), int(values.yes)))
    if codes[1] >= LARGEST_CODE:
        return None
    remarks = _of_other_cells(column.known - values.known)
    if codes == [0, 1]:
        return Suggested(column, "yes or no", column.missing, remarks, codes={0: "no", 1: "yes"})
    remarks.append("two codes: say in words what each of them means")
    return Suggested(column, "category", column.missing, remarks, codes={code: str(code) for code in codes})


def _of_words(column: TableColumn) -> Suggested | str:
    if column.words is None:
        return f"free text, or a list of more than {MOST_WORDS} different words"
    often = [word for word, rows in column.words.items() if rows >= SHOWN_FROM]
    labels = sorted(word for word in often if word.isprintable() and not is_number(word))
    others = column.known - sum(column.words[word] for word in labels)
    if len(labels) < 2 or others > _MOST_IN_OTHER_WORDS * column.known:
        return f"free text: too many of its words stand in {FEWER} each"
    kind, values = "category", two_values(column)
    if values is not None and values.is_clear:
        kind, labels = "yes or no", [values.no, values.yes]
    codes = {code: column.usual_spelling(word) for code, word in enumerate(labels)}
    return Suggested(column, kind, column.missing, _of_other_cells(others), codes=codes, has_words=True)


def _of_other_cells(rows: int) -> list[str]:
    return [f"{rows_shown(rows)} hold something else, and are rejected"] if rows else []


def zero_is_apart(numbers: Float64Array) -> bool:
    """Whether 0 stands so far from all other numbers (n,), ascending, that it means that nothing was measured."""
    zeros, others = (numbers == 0).sum(), numbers[numbers > 0]
    if not 0 < zeros <= _MOST_ZEROS * len(numbers) or len(others) < SHOWN_FROM or numbers[0] < 0:
        return False
    found = range_of(others)
    lowest, highest = others[SHOWN_FROM - 1], others[-SHOWN_FROM]
    return found is not None and found.below == 0 and bool(lowest > (highest - lowest) / 4)


def range_of(numbers: Float64Array) -> Range | None:
    """The range of numbers (n,), ascending; None where they are too few, or beyond what a model carries."""
    with np.errstate(over="ignore"):
        if len(numbers) < SHOWN_FROM or not math.isfinite((numbers**2).sum()):
            return None
    lowest, highest = float(numbers[SHOWN_FROM - 1]), float(numbers[-SHOWN_FROM])
    if len(numbers) < _FEW_ROWS:
        # Of few rows the 20th from either end is near the middle: two standard deviations around the mean.
        mean, reach = float(numbers.mean()), 2 * float(numbers.std())
        lowest, highest = mean - reach if numbers[0] < 0 else max(mean - reach, 0.0), mean + reach
    low, high = _widened(lowest, highest, len(numbers))
    if low == high or max(abs(low), abs(high)) > LARGEST:
        return None
    if (numbers % 1 == 0).all():
        low, high = math.floor(low), math.ceil(high)
    return Range(low, high, int((numbers < low).sum()), int((numbers > high).sum()))


def _widened(lowest: float, highest: float, count: int) -> tuple[float, float]:
    share, factor = next((share, factor) for rows, share, factor in _MARGINS if count <= rows)
    margin = share * (highest - lowest) or abs(lowest) / 2 or 0.5
    low, high = lowest - margin, highest + margin
    if lowest > 0:
        # Where the numbers reach over several sizes, so does the rare one beyond them.
        reach = (highest / lowest) ** (share / 3)
        low, high = max(low, lowest / max(reach, factor)), max(high, highest * reach)
    elif lowest == 0:
        low = 0
    return _outward(low, math.floor), _outward(high, math.ceil)


def _outward(bound: float, rounded: Callable[[float], int]) -> float:
    """Round to two digits."""
    if not SMALLEST <= abs(bound) <= LARGEST:
        return 0.0 if abs(bound) < SMALLEST else bound
    step = 10.0 ** (math.floor(math.log10(abs(bound))) - 1)
    return float(f"{rounded(bound / step) * step:.3g}")
