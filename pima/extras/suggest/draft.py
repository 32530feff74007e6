"""A draft of declaration and mapping: the likely use of each column of a table, and the reasons."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pima.core.arrays import Float64Array
from pima.core.declared.columns import TIMES, of_kind
from pima.core.declared.faults import LARGEST, MOST_FEATURES, MOST_INPUTS, SMALLEST
from pima.core.declared.features import folded_name, is_number
from pima.core.statistics.discrimination import auroc
from pima.core.statistics.samples import sample_of
from pima.extras.suggest import column_names as names
from pima.extras.suggest.tables import (
    FEWER,
    LEAST_ROWS,
    MOST_WORDS,
    SHOWN_FROM,
    Table,
    TableColumn,
    rows_shown,
)
from pima.logs import counted

_NO_AND_YES = re.compile(
    r"0/1|false/true|f/t|no/yes|n/y|negative/positive|neg/pos|-/\+|absent/present|nein/ja|n/j|non/oui|n/o|no/s[iìí]"
    "|não/sim"
)
_LEAST_PERSONS = 0.05
"""A share of the known values: a column with fewer different ones names a place or a clinician, not
the patient."""
_BEYOND = 0.02
"""The share of the numbers at either end that a range ignores, or 20 numbers if that is more."""
_MARGIN = 1.5
"""The margin added beyond the other numbers, as a share of the distance between their ends."""
_MOST_ZEROS = 0.5
"""A share of the numbers: if more are 0, it is a measurement like others, such as no cigarettes a
day."""
_MOST_IN_OTHER_WORDS = 0.1
"""A share of the rows with a value. If more of them hold a rare word, the column is free text."""
DOUBT = "Doubt: "
"""The beginning of a remark that is to be looked at before any figure is believed."""
_NO_FEATURE = {
    "other": "neither number nor text; in a view HEX() makes texts of bytes",
    "date": "dates or times; a query can make an age or a number of days of it",
    "uuid": "an identifier (UUIDs)",
    "comma": (
        "decimals with a comma; pima reads points, so replace the comma in a query or in the file"
    ),
}


class TwoValues(NamedTuple):
    """The two values of a column, in the form in which words are compared."""

    no: str
    """The word for 0."""
    yes: str
    """The word for 1."""
    is_clear: bool
    """Whether the words say which is which; if not, the rarer one means 1."""


class LikelyOutcome(NamedTuple):
    """The column that is most likely the outcome."""

    column: TableColumn
    values: TwoValues
    classes: pd.Series
    """(n,): 0, 1, or NaN where it is not known."""


class Suggested(NamedTuple):
    """A suggested feature."""

    column: TableColumn
    kind: str
    """A number, a whole number, a category, or a yes or no."""
    missing: int
    """Rows that lack it."""
    remarks: Sequence[str]
    """Further remarks for the reader."""
    range: tuple[float, float] | None = None
    """The ends of a number's plausible range."""
    zero_is_missing: bool = False
    codes: Mapping[int, str] = {}
    """Each code of a category with its label."""
    has_words: bool = False
    """Whether the labels are the words in the column."""


class Refused(NamedTuple):
    """A column that is no feature."""

    column: str
    reason: str
    is_left_out: bool = True
    """Whether `load` needs an option to leave it out of a file."""


class Draft(NamedTuple):
    """A draft: the likely use of each column."""

    table: Table
    names: Mapping[str, str]
    """The plain name of the feature, or of the outcome, that is made from each column."""
    outcome: LikelyOutcome | None
    key: TableColumn | None
    """The column that identifies each row."""
    person: TableColumn | None
    """The column that identifies a row's person."""
    features: Sequence[Suggested]
    refused: Sequence[Refused]


def draft_of(
    table: Table, outcome_name: str | None = None, person_name: str | None = None, *without: str
) -> Draft | str:
    """Make the draft, in which a person may name outcome, person, and columns that are left out; if
    there is none, return the reason."""
    refused = _unusable_names(table)
    refused += [Refused(name, "left out, as you said") for name in without]
    columns = [
        column for column in table.columns if column.name not in {each.column for each in refused}
    ]
    outcome = _outcome(table, columns, outcome_name)
    key = _key(columns)
    named = (column for column in columns if column.name == person_name)
    person = next(named, None) or _person(columns)
    if person is not None and person.key_type is None:  # as of a key that became 7.0 beside gaps
        return "The person's column holds no keys. Expected texts, UUIDs or whole numbers there."
    features: list[Suggested] = []
    inputs = 0
    for column in columns:
        if outcome is not None and column is outcome.column:
            continue
        if column is key:
            found: Suggested | str = "the key"
        elif column is person:
            found = "the person"
        else:
            found = _taken_for(column, outcome)
        if isinstance(found, Suggested):
            more = len(found.codes) or 1
            if len(features) < MOST_FEATURES and inputs + more <= MOST_INPUTS:
                inputs += more
                features.append(found)
                continue
            found = f"beyond {MOST_FEATURES} features or {MOST_INPUTS} inputs"
        refused.append(Refused(column.name, found))
    if not features:
        return _without_features(table, refused)
    used = [each.column.name for each in features] + ([outcome.column.name] if outcome else [])
    # In a file, a refused column keeps its name.
    taken = [each.column for each in refused if table.source is None]
    plain = names.plain_names(used, taken)
    return Draft(table, plain, outcome, key, person, features, refused)


def _without_features(table: Table, refused: Sequence[Refused]) -> str:
    # Columns are counted, not named: a name may be any text of any length, and this goes to a
    # terminal.
    reasons = Counter(each.reason for each in refused)
    told = "; ".join(
        f"{counted(columns, 'column')}: {reason}" for reason, columns in reasons.items()
    )
    return f"None of its {counted(len(table.columns), 'column')} can be a feature ({told})."


def _unusable_names(table: Table) -> list[Refused]:
    """Find columns whose names can't be used; in a file, also those that `load` reads as an
    identifier; once each."""
    # `load` ignores differences of names in case, spaces and underscores.
    same = str if table.source else folded_name
    times = Counter(same(column.name) for column in table.columns)
    found = {}
    for column in table.columns:
        name = column.name
        folded = same(name)
        is_left_out = True
        if not name.strip() or not name.isprintable():
            reason = "a name that can't be printed: rename it"
        elif times[folded] > 1:
            reason = "a name that several columns have, or nearly so: rename one"
        elif table.source is not None:
            continue
        elif folded in map(folded_name, ("id", *of_kind("key"))):
            reason = "what load takes for the id, or for the key of a row or a person"
            is_left_out = False
        elif folded in map(folded_name, TIMES.values()):
            reason = "what load takes for the time of the outcome, of its wait or of an action"
            is_left_out = False
        elif folded == "outcome" and two_values(column) is None:
            reason = "what load takes for the outcome, but it has not two values: rename it"
        else:
            continue
        found[name] = Refused(name, reason, is_left_out)
    return list(found.values())


def two_values(column: TableColumn) -> TwoValues | None:
    """The two values of a column; None if it has others."""
    words: Mapping[str, int] = column.words or {}
    pair = [word for word, rows in words.items() if rows >= SHOWN_FROM and word.isprintable()]
    if len(pair) != 2 or column.known - sum(words[word] for word in pair) >= SHOWN_FROM:
        return None
    yes, no = sorted(pair, key=lambda word: (words[word], word))
    if _NO_AND_YES.fullmatch(f"{yes}/{no}"):
        yes, no = no, yes
    return TwoValues(no, yes, _NO_AND_YES.fullmatch(f"{no}/{yes}") is not None)


def _outcome(
    table: Table, columns: Sequence[TableColumn], name: str | None
) -> LikelyOutcome | None:
    """The outcome of this name, or the likeliest; of equally likely ones, the last, since outcomes
    come last."""
    if name is not None:
        columns = [column for column in columns if column.name == name]
    elif not table.has_names:
        columns = columns[-1:]
    elif table.source is None:
        # `load` reads a column of this name as the outcome.
        columns = [column for column in columns if folded_name(column.name) == "outcome"] or columns
    likely = {}
    for column in columns:
        values = two_values(column)
        is_named = column.name == name or names.has_word(column.name, names.OUTCOME)
        is_likely = is_named or names.has_word(column.name, names.DISEASE)
        if values is not None and (values.is_clear or is_likely):
            classes = pd.Series(column.row_words).map({values.no: 0.0, values.yes: 1.0})
            # A name says most, then clear values. If some rows lack it, it may be what is to be
            # predicted.
            likely[4 * is_named + 2 * values.is_clear + (column.missing > 0)] = LikelyOutcome(
                column, values, classes
            )
    return likely[max(likely)] if likely else None


def _key(columns: Sequence[TableColumn]) -> TableColumn | None:
    """Prefer a unique column that is named like a key, and then one that is not named like a
    person's."""
    named = (column for column in columns if not names.is_no_key(column.name))
    unique = [column for column in named if column.is_unique and column.is_whole]
    return min(
        unique,
        key=lambda each: (not names.names_things(each.name), names.names_a_person(each.name)),
        default=None,
    )


def _person(columns: Sequence[TableColumn]) -> TableColumn | None:
    """The first column that is named like a person's key and has several rows for some persons."""
    for column in columns:
        if (
            column.key_type is None
            or not names.names_a_person(column.name)
            or names.is_no_key(column.name)
        ):
            continue
        if max(SHOWN_FROM, _LEAST_PERSONS * column.known) <= column.different_keys < column.known:
            return column
    return None


def _taken_for(column: TableColumn, outcome: LikelyOutcome | None) -> Suggested | str:
    """The feature, or the reason why the column is none."""
    if column.known < LEAST_ROWS:
        if not column.known:
            return "empty"
        return f"fewer than {LEAST_ROWS} rows have it, so nothing is said of it"
    most = max(_NO_FEATURE, key=lambda kind: column.kinds[kind])
    if 2 * column.kinds[most] > column.known:
        return _NO_FEATURE[most]
    if column.words and column.known - max(column.words.values()) < SHOWN_FROM:
        return f"the same value in all rows, or in all but {FEWER}"
    if column.is_unique and column.is_whole:
        return "an identifier or free text: different in each row"
    if column.is_whole and column.words is None and names.names_things(column.name):
        return "an identifier, by its name and its many values"
    late = outcome and _known_only_with(outcome, column)
    if late:
        return late
    is_number = 2 * len(column.numbers) >= column.known
    found = _of_numbers(column, outcome) if is_number else _of_words(column)
    if outcome and isinstance(found, Suggested) and _area_alone(outcome, column) > 0.95:
        said = f"{DOUBT}alone it has an area under ROC above 0.95. Is it known before the outcome?"
        return found._replace(remarks=[said, *found.remarks])
    return found


def _known_only_with(outcome: LikelyOutcome, column: TableColumn) -> str | None:
    """The reason why the column may be known only with the outcome or after it; None if nothing
    says so."""
    classes = outcome.classes
    gaps = pd.Series([number is None for number in column.row_numbers])
    if column.missing >= SHOWN_FROM and gaps.equals(classes.isna()):
        return "empty in just the rows where the outcome is: known only with it?"
    lacking = gaps.groupby(classes).mean()
    if lacking.max() >= 0.95 and lacking.min() <= 0.05:
        return (
            "empty in nearly all rows with one outcome and in nearly none with the other: known "
            "only after it?"
        )
    if _area_alone(outcome, column) >= 0.98:
        return "it tells the outcome by itself (AUROC of 0.98 or more): known only after it?"
    return None


def _area_alone(outcome: LikelyOutcome, column: TableColumn) -> float:
    """The area under ROC of a column by itself, whichever way it points; 0 if too little is
    known."""
    classes = outcome.classes
    # Words, and numbers that may be codes, count by how often the outcome is 1 beside them.
    shares = classes.groupby(pd.Series(column.row_words, dtype=object)).transform("mean")
    found = 0.0
    for ranks in (pd.Series(column.row_numbers, dtype=float), shares):
        known = classes[ranks.notna()].dropna()
        area = auroc(sample_of(ranks[known.index].to_numpy(), known.to_numpy())).value
        # Of a hundred rows with fifty codes, ten of a class are told apart by luck in one column of
        # eighty.
        if area is not None and known.value_counts().min() >= SHOWN_FROM:
            found = max(found, area, 1 - area)
    return found


def _of_numbers(column: TableColumn, outcome: LikelyOutcome | None) -> Suggested | str:
    numbers = column.numbers
    is_whole = column.is_whole
    different = len(column.words or ())
    if len(numbers) < LEAST_ROWS:
        return f"fewer than {LEAST_ROWS} rows hold a number"
    values = two_values(column)
    if values is not None and (values.no, values.yes) == ("0", "1"):
        others = column.known - int(np.isin(numbers, (0, 1)).sum())
        return Suggested(
            column, "yes or no", column.missing, _of_other_cells(others), codes={0: "no", 1: "yes"}
        )
    is_apart = zero_is_apart(numbers)
    zeros = int((numbers == 0).sum())
    measured = numbers[numbers > 0] if is_apart else numbers
    missing = column.missing
    kind = "whole number" if is_whole else "number"
    bounds = range_of(measured)
    if bounds is None:
        return "numbers beyond what a model carries; another unit helps"
    remarks = _of_other_cells(column.known - len(numbers))
    if outside := int(((measured < bounds[0]) | (measured > bounds[1])).sum()):
        remarks.append(f"{rows_shown(outside)} lie outside and would be rejected")
    if is_apart:
        missing += zeros
        remarks.append(
            f"{DOUBT}{rows_shown(zeros)} hold 0, far from all others: taken for not measured"
        )
    elif 4 * zeros >= len(numbers):
        doubt = "" if is_whole and (numbers == 1).any() else DOUBT
        remarks.append(
            f"{doubt}{rows_shown(zeros)} hold 0; if that is not measured, add zero_is_missing = "
            "true"
        )
    remarks += _on_score(column, outcome)
    if is_whole and 2 <= different <= 10:
        remarks.append(
            f'{different} different whole numbers: if they are codes, make it kind = "category" '
            "with codes"
        )
    return Suggested(column, kind, missing, remarks, bounds, is_apart)


def _on_score(column: TableColumn, outcome: LikelyOutcome | None) -> list[str]:
    if not names.has_word(column.name, names.SCORE):
        return []
    numbers = pd.Series(column.row_numbers, dtype=float)
    falls = outcome is not None and numbers.corr(outcome.classes) < 0
    direction = ', with direction = "falling"' if falls else ""
    asked = "do people judge this outcome by it today? Then write [[present_score]] in place of"
    return [f"{asked} [[feature]], and keep only its name{direction}"]


def _of_words(column: TableColumn) -> Suggested | str:
    if column.words is None:
        return f"free text, or a list of more than {MOST_WORDS} different words"
    often = [word for word, rows in column.words.items() if rows >= SHOWN_FROM]
    labels = sorted(word for word in often if word.isprintable() and not is_number(word))
    others = column.known - sum(column.words[word] for word in labels)
    if len(labels) < 2 or others > _MOST_IN_OTHER_WORDS * column.known:
        return f"free text: too many of its words stand in {FEWER} each"
    kind = "category"
    values = two_values(column)
    if values is not None and values.is_clear:
        kind = "yes or no"
        labels = [values.no, values.yes]
    codes = dict(enumerate(labels))
    return Suggested(
        column, kind, column.missing, _of_other_cells(others), codes=codes, has_words=True
    )


def _of_other_cells(rows: int) -> list[str]:
    return [f"{rows_shown(rows)} hold something else, and are rejected"] if rows else []


def zero_is_apart(numbers: Float64Array) -> bool:
    """Whether 0 is so far from all other numbers (n,), ascending, that it means that nothing was
    measured."""
    zeros = (numbers == 0).sum()
    others = numbers[numbers > 0]
    if not 0 < zeros <= _MOST_ZEROS * len(numbers) or len(others) < LEAST_ROWS or numbers[0] < 0:
        return False
    lowest = others[SHOWN_FROM - 1]
    highest = others[-SHOWN_FROM]
    is_count = lowest == 1 and not (others % 1).any()  # as of 0 to 4 admissions
    return bool(lowest > (highest - lowest) / 4) and not is_count


def range_of(numbers: Float64Array) -> tuple[float, float] | None:
    """The range for numbers (n,), ascending; None if they are too few, or beyond what a model
    carries.

    Its ends are no patient's values. It should exclude other units and misplaced points, and
    include every patient.
    """
    if len(numbers) < LEAST_ROWS or not np.abs(numbers).max() <= LARGEST:
        return None
    beyond = max(SHOWN_FROM, int(_BEYOND * len(numbers)))
    lowest = float(numbers[beyond - 1])
    highest = float(numbers[-beyond])
    margin = _MARGIN * (highest - lowest) or abs(lowest) / 2 or 0.5
    low = _outward(lowest - margin, math.floor)
    high = _outward(highest + margin, math.ceil)
    if numbers[0] >= 0:
        low = max(low, 0.0)
    if (numbers % 1 == 0).all():
        low = math.floor(low)
        high = math.ceil(high)
    return (low, high) if -LARGEST <= low < high <= LARGEST else None


def _outward(bound: float, rounded: Callable[[float], int]) -> float:
    """Round outward to two digits; a bound too small for a model becomes 0."""
    if abs(bound) < SMALLEST:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(bound))) - 1)
    return float(f"{rounded(bound / step) * step:.3g}")
