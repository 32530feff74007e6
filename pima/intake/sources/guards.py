"""Guards that refuse a faulty source before anything is written; each names its limit and its
figures."""

from collections import Counter

from pima.core.declared.features import SeenByNoModel
from pima.core.declared.identifiers import FORGOTTEN
from pima.core.declared.source import Source
from pima.core.rows.mapping import SourceMapping, SourceTally
from pima.errors import SourceKeysUnusable, SourceRefused, SourceUnusable
from pima.logs import counted
from pima.store.rows.staged_source import Comparison

_FEWEST_OF_A_PART = 100
"""Rows that a part needs to say something about a feature: of three changed rows, two may lack it
by chance."""


def require_readable(source: Source, tally: SourceTally, repeated_keys: int) -> None:
    """Raises SourceUnusable if values have a type that can't be read, SourceKeysUnusable if rows
    have no key of their own."""
    _require_types(source, tally)
    _require_keys(source, tally, repeated_keys)


def require_sound(
    source: Source, mapping: SourceMapping, tally: SourceTally, comparison: Comparison, whole: bool
) -> None:
    """Raises SourceRefused for the first fault."""
    if whole:
        _require_rows(source, tally)
    if whole or tally.rows >= _FEWEST_OF_A_PART:
        _require_features(source, mapping, tally, comparison)
        _require_taken(source, tally)
    _require_known(source, comparison.vanished, comparison.ours_in_all)
    _require_outcomes(source, comparison.outcomes.cleared, comparison.outcomes_known)


def _require_types(source: Source, tally: SourceTally) -> None:
    columns = {name: how.column for name, how in source.mapped_columns.items()}
    columns |= {"outcome": source.outcome, **source.times}
    for name, other in tally.wrong_types.items():
        what = f"its column {columns[name]} ({name}) holds values of the type {other}"
        expected = "numbers, or texts; truth values where words say what true and false mean"
        if name in source.times:
            expected = "times, days, or texts of them"
        raise SourceUnusable(source=source.name, what=what, expected=expected)


def _require_keys(source: Source, tally: SourceTally, repeated_keys: int) -> None:
    named = ", ".join(source.keys)
    if tally.without_key:
        types = ", ".join(source.key_types)
        what = (
            f"in {counted(tally.without_key, 'row')} the key ({named}) is NULL, too long, or no "
            f"{types} (bytes are none; HEX() in a view makes texts of them)"
        )
        raise SourceKeysUnusable(source=source.name, what=what)
    if repeated_keys:
        what = f"in {counted(repeated_keys, 'row')} the key ({named}) is that of another row"
        raise SourceKeysUnusable(source=source.name, what=what)


def _require_rows(source: Source, tally: SourceTally) -> None:
    if tally.rows < source.minimum_rows:
        what = f"it has {counted(tally.rows, 'row')}, and minimum_rows is {source.minimum_rows:,}"
        raise SourceRefused(source=source.name, what=what)


def _require_features(
    source: Source, mapping: SourceMapping, tally: SourceTally, comparison: Comparison
) -> None:
    for feature in mapping.features:
        if isinstance(feature, SeenByNoModel):
            continue  # a ward that gives its score up must not keep its new patients out
        name = feature.name
        unusable = tally.unusable[name] / tally.rows
        lacking = unusable + tally.missing[name] / tally.rows
        before = comparison.missing[name] / comparison.ours if comparison.ours else 1.0
        # A feature that was missing in about as many rows before is normal for this clinic.
        is_sudden = lacking > source.most_missing and lacking - before > source.most_missing / 2
        if unusable > source.most_missing or is_sudden:
            was = f", where it was missing in {before:.1%}" if comparison.ours else ""
            what = (
                f"{name} is missing in {tally.missing[name]:,} of {counted(tally.rows, 'row')} and "
                f"can't be taken in {tally.unusable[name]:,} (out of range, unknown, no number, "
                f"perhaps since its factor, words or range don't fit the source){was}; "
                f"most_missing is {source.most_missing:g}"
            )
            raise SourceRefused(source=source.name, what=what)


_SHOWN = 5


def _require_taken(source: Source, tally: SourceTally) -> None:
    # Forgotten people may stay in the source for as long as the clinic likes.
    broken = Counter(
        {rule: rows for rule, rows in sorted(tally.rejected.items()) if rule[0] != FORGOTTEN}
    )
    if broken.total() > source.most_rejected * tally.rows:
        most = (
            f"{reason} of {column}: {counted(rows, 'row')}"
            for (reason, column), rows in broken.most_common(_SHOWN)
        )
        what = (
            f"{broken.total():,} of {counted(tally.rows, 'row')} break a rule ({', '.join(most)}), "
            "perhaps since outcome_at, index_at, acted_at, outcome_words, person_type (bytes need "
            "HEX() in a view), or the factor, words or range of a feature don't fit the source; "
            f"most_rejected is {source.most_rejected:g}"
        )
        raise SourceRefused(source=source.name, what=what)


def _require_known(source: Source, vanished: int, ours: int) -> None:
    if vanished > source.most_vanished * ours:
        what = (
            f"{vanished:,} of our {counted(ours, 'row')} are no longer in it (those that are kept "
            f"count each time); most_vanished is {source.most_vanished:g}"
        )
        raise SourceRefused(source=source.name, what=what)


def _require_outcomes(source: Source, cleared: int, known: int) -> None:
    if cleared > source.most_cleared * known:
        what = (
            f"{cleared:,} of our {counted(known, 'known outcome')} are NULL in it (column "
            f"{source.outcome}) and would be cleared; most_cleared is {source.most_cleared:g}"
        )
        raise SourceRefused(source=source.name, what=what)
