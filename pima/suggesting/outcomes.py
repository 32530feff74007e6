"""Which column may be the outcome: two values, words like yes and no, and what tells the outcome already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pima.suggesting.column_names import names_an_outcome
from pima.suggesting.columns import NO_WORD, Column
from pima.suggesting.shown import SHOWN_FROM

_PAIRS = frozenset(
    (
        ("0", "1"),
        ("false", "true"),
        ("f", "t"),
        ("no", "yes"),
        ("n", "y"),
        ("negative", "positive"),
        ("neg", "pos"),
        ("-", "+"),
        ("absent", "present"),
        ("nein", "ja"),
        ("n", "j"),
        ("non", "oui"),
        ("n", "o"),
        ("no", "si"),
        ("no", "sì"),
        ("no", "sí"),
        ("não", "sim"),
    )
)
"""What means 0, and what 1."""
_PLAIN = (("0", "1"), ("false", "true"))
"""What means 0 and 1 without a word about it."""
LEAST_SHARE = 0.25
"""Of the rarer class: below it no model may beat the majority class by accuracy."""


@dataclass(frozen=True, slots=True)
class TwoValues:
    """A column of two values."""

    no: str
    """What means 0, as words are compared."""
    yes: str
    """What means 1."""
    is_clear: bool
    """Whether the words say which is which."""
    others: int
    """Rows that hold something else."""

    @property
    def needs_words(self) -> bool:
        """Whether pima has to be told what they mean."""
        return (self.no, self.yes) not in _PLAIN


def two_values(column: Column) -> TwoValues | None:
    """The two values of a column; None where it has others."""
    words = column.words or {}
    pair = [word for word, rows in words.items() if rows >= SHOWN_FROM] if len(words) > 2 else list(words)
    others = column.known - sum(words[word] for word in pair)
    if len(pair) != 2 or others >= SHOWN_FROM:
        return None
    for no, yes in (pair, pair[::-1]):
        if (no, yes) in _PAIRS:
            return TwoValues(no, yes, True, others)
    yes, no = sorted(pair, key=lambda word: (words[word], word))
    return TwoValues(no, yes, False, others)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The column that is predicted, perhaps."""

    column: Column
    values: TwoValues
    others: tuple[str, ...]
    """Other columns that it might be."""

    @property
    def known(self) -> int:
        """Rows whose outcome is known."""
        return self.column.known - self.values.others

    @property
    def rarer(self) -> int:
        """Of those the rows of the rarer class."""
        words: Mapping[str, int] = self.column.words or {}
        return min(words[self.values.no], words[self.values.yes])


def outcome_among(columns: Sequence[Column]) -> Outcome | None:
    """The likeliest; of equally likely ones the last, since outcomes come last."""
    scored = [(_likelihood(column), n, column) for n, column in enumerate(columns)]
    likely = sorted((each for each in scored if each[0]), reverse=True)
    if not likely:
        return None
    (_, _, column), *rest = likely
    values = two_values(column)
    return None if values is None else Outcome(column, values, tuple(other.name for _, _, other in rest))


def _likelihood(column: Column) -> int:
    values = two_values(column)
    if values is None or column.known < SHOWN_FROM:
        return 0
    is_named = names_an_outcome(column.name)
    if not (values.is_clear or is_named):
        return 0
    # What is not known yet of some rows is to be predicted.
    return 4 * is_named + 2 * values.is_clear + (column.missing > 0)


def tells(column: Column, outcome: Outcome) -> bool:
    """Whether each value of the column stands beside one outcome only, so that it is the outcome, or a part of it."""
    theirs, codes = outcome.column.codes, column.codes
    if codes is None or theirs is None:
        return False
    positions = list(outcome.column.words or {})
    is_one, is_zero = theirs == positions.index(outcome.values.yes), theirs == positions.index(outcome.values.no)
    beside_one = np.bincount(codes[is_one & (codes != NO_WORD)], minlength=NO_WORD)
    beside_zero = np.bincount(codes[is_zero & (codes != NO_WORD)], minlength=NO_WORD)
    ones, zeros = int(beside_one.sum()), int(beside_zero.sum())
    values = int(np.count_nonzero(beside_one + beside_zero))
    # What stands in a row or two stands beside one outcome in any case.
    is_enough = min(ones, zeros) >= SHOWN_FROM and ones + zeros >= SHOWN_FROM * values
    return is_enough and not np.any((beside_one > 0) & (beside_zero > 0))
