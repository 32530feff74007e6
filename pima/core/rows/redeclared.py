"""A changed declaration: its differences from the previous one, and its effects on the existing
rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pima.core.arrays import BoolArray, Int64Array
from pima.core.declared.features import (
    Declaration,
    Declared,
    Feature,
    Features,
    differing_fields,
    names_of,
)
from pima.core.declared.group import Group
from pima.core.declared.present_score import PresentScore
from pima.core.rows.validation import Measurements, Validated, validate


@dataclass(frozen=True, slots=True)
class DeclarationChanges:
    """The differences of one declaration from another."""

    added: tuple[str, ...]
    """Those whose columns are added, NULL in the existing rows."""
    revived: tuple[str, ...]
    """Retired ones that are declared again; their columns exist."""
    retired: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]
    """The fields that changed, by the column; the outcome's under `outcome`."""
    reordered: bool
    """Whether those that both have are in another order."""

    @property
    def any(self) -> bool:
        """Whether there is any difference."""
        return bool(self.added or self.revived or self.retired or self.changed or self.reordered)


def changes(before: Declaration, after: Declaration) -> tuple[Declaration, DeclarationChanges]:
    """Compare a database's declaration with a new one; return the latter with all retired features,
    and the changes."""
    were = names_of(before.declared)
    are = names_of(after.declared)
    known = _known(before)
    changed = {
        each.name: differing_fields(known[each.name], each)
        for each in after.declared
        if each.name in known
    }
    changed |= {"outcome": differing_fields(before.outcome, after.outcome)}
    retired = [each for name, each in known.items() if name not in are]
    carried_over = Declaration(
        after.outcome,
        after.features,
        tuple(each for each in retired if isinstance(each, Feature)),
        after.present_scores,
        tuple(each for each in retired if isinstance(each, PresentScore)),
        after.groups,
        tuple(each for each in retired if isinstance(each, Group)),
    )
    return carried_over, DeclarationChanges(
        added=tuple(name for name in are if name not in known),
        revived=tuple(name for name in are if name in known and name not in were),
        retired=tuple(name for name in were if name not in are),
        changed={name: fields for name, fields in changed.items() if fields},
        reordered=[name for name in were if name in are] != [name for name in are if name in were],
    )


def of_another_kind(before: Declaration, after: Declaration) -> tuple[str, str] | None:
    """A feature that was a number and would be a category, a score or a group, or the other way
    round, with the kind that it would be: its column can't be both."""
    known = _known(before)
    for each in after.declared:
        if each.name in known and _kind(known[each.name]) != _kind(each):
            return each.name, _kind(each)
    return None


def _kind(declared: Declared) -> str:
    if isinstance(declared, Feature):
        return declared.kind
    return "group" if isinstance(declared, Group) else "score"


def _known(declaration: Declaration) -> dict[str, Declared]:
    return {each.name: each for each in declaration.no_longer_declared + declaration.declared}


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
    before = rules.judged(rows, rules.scored_before)
    after = rules.judged(rows, rules.scored_after)
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
