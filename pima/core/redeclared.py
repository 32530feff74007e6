"""A changed declaration: its differences from the previous one, and its effects on the existing
rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pima.core.arrays import BoolArray, Int64Array
from pima.core.features import Declaration, Feature, Features, differing_fields, names_of
from pima.core.validation import Measurements, Validated, validate


@dataclass(frozen=True, slots=True)
class DeclarationChanges:
    """The differences of one declaration from another."""

    added: tuple[str, ...]
    """Features whose columns are added, NULL in the existing rows."""
    revived: tuple[str, ...]
    """Retired features that are declared again; their columns exist."""
    retired: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]
    """The fields that changed, by feature; the outcome's under `outcome`."""
    reordered: bool
    """Whether the features that both have are in another order."""

    @property
    def any(self) -> bool:
        """Whether there is any difference."""
        return bool(self.added or self.revived or self.retired or self.changed or self.reordered)


def changes(before: Declaration, after: Declaration) -> tuple[Declaration, DeclarationChanges]:
    """Compare a database's declaration with a new one; return the latter with all retired features,
    and the changes."""
    gone = tuple(feature for feature in before.features if feature.name not in after.names)
    still_retired = tuple(feature for feature in before.retired if feature.name not in after.names)
    known = {feature.name: feature for feature in before.features + before.retired}
    both = [(known[feature.name], feature) for feature in after.features if feature.name in known]
    changed = {new.name: differing_fields(old, new) for old, new in both}
    changed |= {"outcome": differing_fields(before.outcome, after.outcome)}
    were, are = (
        [name for name in one.names if name in other.names]
        for one, other in ((before, after), (after, before))
    )
    return Declaration(after.outcome, after.features, still_retired + gone), DeclarationChanges(
        added=tuple(name for name in after.names if name not in known),
        revived=tuple(name for name in after.names if name in names_of(before.retired)),
        retired=names_of(gone),
        changed={name: fields for name, fields in changed.items() if fields},
        reordered=were != are,
    )


def of_another_kind(before: Declaration, after: Declaration) -> Feature | None:
    """A feature that was a number and would be a category, or the other way round: its column can't
    be both."""
    kinds = {feature.name: feature.kind for feature in before.features + before.retired}
    return next(
        (each for each in after.features if kinds.get(each.name, each.kind) != each.kind), None
    )


@dataclass(slots=True)
class Effects:
    """The effects of new rules on the existing rows."""

    rejected_from_now: Counter[str] = field(default_factory=Counter)
    """Unlabelled rows that the champion could score until now, by reason and column; their
    predictions stay."""
    sound_from_now: list[int] = field(default_factory=list)
    """The ids of unlabelled rows that some champion rejected and that the new rules accept."""
    left_out_of_training: Counter[str] = field(default_factory=Counter)
    """Labelled rows that the next model can't learn from, by reason and column."""


def add_effects(
    effects: Effects, ids: Int64Array, unlabelled: BoolArray, rows: Measurements, rules: "Rules"
) -> None:
    """Add the effects on some rows; their measurements are in the columns of the new
    declaration."""
    before, after = rules.judged(rows, rules.scored_before), rules.judged(rows, rules.scored_after)
    was_sound = np.isin(np.arange(len(rows)), before.accepted)
    effects.rejected_from_now += _counted(after, (unlabelled & was_sound)[after.rejected])
    sound = ids[after.accepted][unlabelled[after.accepted]]
    effects.sound_from_now += sound[np.isin(sound, rules.rejected)].tolist()
    learned = rules.judged(rows, rules.learned)
    effects.left_out_of_training += _counted(learned, ~unlabelled[learned.rejected])


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that rows are judged by."""

    columns: tuple[str, ...]
    scored_before: Features
    """The champion's features by the old rules."""
    scored_after: Features
    """The champion's features by the new rules."""
    learned: Features
    """The features of the next model."""
    rejected: Sequence[int]

    def judged(self, rows: Measurements, features: Features) -> Validated:
        """Judge rows by the rules of some of their columns."""
        positions = [self.columns.index(name) for name in names_of(features)]
        return validate([rows.by_feature[position] for position in positions], features)


def _counted(found: Validated, which: BoolArray) -> Counter[str]:
    reasons = zip(found.reasons, found.fields, which, strict=True)
    return Counter(f"{reason} {field}" for reason, field, counts in reasons if counts)
