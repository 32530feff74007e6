"""What of a source is taken for a fault before anything is written; each guard names its limit and its figures."""

from collections import Counter
from collections.abc import Iterable

from pima.core.identifiers import FORGOTTEN
from pima.core.mapping import SourceMapping, SourceTally
from pima.core.source import Source
from pima.errors import SourceKeysUnusable, SourceRefused, SourceUnusable
from pima.logs import counted
from pima.store.staged_source import Comparison

_FEWEST_OF_A_PART = 100
"""Rows that a part must have to say something of a feature: of three changed rows two may lack it by chance."""


def require_readable(source: Source, mapping: SourceMapping, tally: SourceTally, repeated_keys: int, held: str) -> None:
    """Raises SourceUnusable or SourceKeysUnusable where values have a type that can't be read, or rows no key of their
    own. `held` is what the key's columns are, in words."""
    _require_types(source, mapping, tally)
    _require_keys(source, tally, repeated_keys, held)


def require_sound(source: Source, tally: SourceTally, comparison: Comparison, outcomes_in_all: int | None) -> None:
    """Raises SourceRefused for the first fault.

    Where only a part was compared `outcomes_in_all` is how many we know of the source.
    """
    if outcomes_in_all is None:
        _require_rows(source, tally)
    if outcomes_in_all is None or tally.rows >= _FEWEST_OF_A_PART:
        _require_features(source, tally, comparison)
        _require_taken(source, tally)
    _require_known(source, comparison.vanished, comparison.ours_in_all)
    known = comparison.outcomes_known if outcomes_in_all is None else outcomes_in_all
    _require_outcomes(source, comparison.outcomes.cleared, known)


def _require_types(source: Source, mapping: SourceMapping, tally: SourceTally) -> None:
    columns = {feature.name: how.column for feature, how in zip(mapping.features, mapping.columns, strict=True)}
    columns |= {"outcome": source.outcome, "outcome_at": source.outcome_at}
    for name, other in tally.wrong_types.items():
        what = f"its column {columns[name]} ({name}) holds values of the type {other}"
        expected = "times, days, or texts of them" if name == "outcome_at" else "numbers, or texts"
        if other == bool.__name__:
            expected += "; truth values are for a category with the codes 0 and 1, or words say which numbers they mean"
            expected += " (words = { true = 1, false = 0 })"
        raise SourceUnusable(source=source.name, what=what, expected=expected)


def _require_keys(source: Source, tally: SourceTally, repeated_keys: int, held: str) -> None:
    named = ", ".join(source.keys)
    if tally.without_key:
        types = ", ".join(source.key_types)
        what = f"in {counted(tally.without_key, 'row')} the key ({named}) is NULL, too long, or no {types}{held}"
        raise SourceKeysUnusable(source=source.name, what=what)
    if repeated_keys:
        what = f"in {counted(repeated_keys, 'row')} the key ({named}) is that of another row"
        raise SourceKeysUnusable(source=source.name, what=what)


def _require_rows(source: Source, tally: SourceTally) -> None:
    if tally.rows < source.minimum_rows:
        what = f"it has {counted(tally.rows, 'row')}, and minimum_rows is {source.minimum_rows:,}"
        raise SourceRefused(source=source.name, what=what)


def _require_features(source: Source, tally: SourceTally, comparison: Comparison) -> None:
    for name in source.columns:
        unusable = tally.unusable[name] / tally.rows
        lacking = unusable + tally.missing[name] / tally.rows
        before = comparison.missing[name] / comparison.ours if comparison.ours else 1.0
        # What was lacking in about as many rows before is how this clinic's data are.
        is_sudden = lacking > source.most_missing and lacking - before > source.most_missing / 2
        if unusable > source.most_missing or is_sudden:
            was = f", where it was missing in {before:.1%}" if comparison.ours else ""
            # Whoever has named a wrong unit would raise the limit in vain.
            unit = ", as where its factor, words or range don't fit the source" if unusable > lacking / 2 else ""
            unit += _of_commas(tally, [name])
            what = (
                f"{name} is missing in {tally.missing[name]:,} of {counted(tally.rows, 'row')} and can't be taken in "
                f"{tally.unusable[name]:,} (out of range, unknown, no number{unit}){was}; most_missing is "
                f"{source.most_missing:g}"
            )
            raise SourceRefused(source=source.name, what=what)


def _of_commas(tally: SourceTally, features: Iterable[str]) -> str:
    """Where any of these holds decimals with a comma."""
    commas = any(tally.with_comma[name] for name in features)
    return ", or where decimals have a comma: a query can replace it by a point" if commas else ""


_SHOWN = 5


def _require_taken(source: Source, tally: SourceTally) -> None:
    # Who was forgotten is in the source for as long as the clinic likes.
    broken = Counter({rule: rows for rule, rows in tally.rejected.items() if rule[0] != FORGOTTEN})
    rejected = broken.total()
    if rejected > source.most_rejected * tally.rows:
        most = broken.most_common(_SHOWN)
        shown = [
            f"{reason}{f' of {column}' if column in source.columns else ''}: {counted(rows, 'row')}"
            for (reason, column), rows in most
            if rows
        ]
        if others := rejected - sum(rows for _, rows in most):
            shown.append(f"others: {counted(others, 'row')}")
        what = (
            f"{rejected:,} of {counted(tally.rows, 'row')} break a rule ({', '.join(shown)}), as where outcome_words, "
            f"person_type, or the factor, words or range of a feature don't fit the source"
            f"{_of_commas(tally, source.columns)}; most_rejected is {source.most_rejected:g}"
        )
        raise SourceRefused(source=source.name, what=what)


def _require_known(source: Source, vanished: int, ours: int) -> None:
    if vanished > source.most_vanished * ours:
        kept = " (those that are kept count each time)" if source.vanished == "keep" else ""
        what = (
            f"{vanished:,} of our {counted(ours, 'row')} are no longer in it{kept}; "
            f"most_vanished is {source.most_vanished:g}"
        )
        raise SourceRefused(source=source.name, what=what)


def _require_outcomes(source: Source, cleared: int, known: int) -> None:
    if cleared > source.most_cleared * known:
        what = (
            f"{cleared:,} of our {counted(known, 'known outcome')} are NULL in it (column {source.outcome}) and would "
            f"be cleared; most_cleared is {source.most_cleared:g}"
        )
        raise SourceRefused(source=source.name, what=what)
