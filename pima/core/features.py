"""What is scored: the declared features, in the order in which every array, table and file has them.

No name of a feature stands in the code. The shipped declaration is `pima/data/features.toml`; a clinic's own one is
named in its configuration.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

KEYS = ("source", "source_key", "person_key")
"""The columns that say whose row it is, where it comes from a table of the clinic's own or rows are visits."""


class Feature(Struct, frozen=True, forbid_unknown_fields=True):
    """One declared input of a patient row."""

    name: str
    """The column in every table, file and log."""
    unit: str = ""
    """As recorded in the data; the service converts nothing."""
    low: float | None = None
    """Of a number, the smallest value that is taken for real; below it the row is rejected."""
    high: float | None = None
    """Of a number, the largest value that is taken for real."""
    zero_is_missing: bool = False
    """The data have 0 where nothing was measured: it is read as missing."""
    may_be_missing: bool = False
    """Whether a row without it can be scored (the model puts the training mean in a number's place)."""
    kind: Literal["number", "category"] = "number"
    codes: dict[int, str] = {}
    """Of a category, each code with its label."""
    rationale: str = ""
    """Where the range comes from, in words."""
    power: float | None = None
    """What the model raises the number to: 1, 0.5 or -1; None leaves the choice to the fit."""
    scale: float | None = None
    """The standard deviation that the power is brought to: the wider, the more the model may lean on it. None is 1."""
    bands: tuple[float, ...] = ()
    """Of a number, where subgroups of patients end: with 30 and 60 there are under 30, 30 to under 60, and 60 and over.
    Empty: at the quartiles of the training rows, rounded. No model sees them."""
    also_called: tuple[str, ...] = ()
    """Other column names under which files may bring it."""
    perhaps_called: tuple[str, ...] = ()
    """Names that mean it in some files and other things elsewhere: a hint in an error, and no more."""


Features = tuple[Feature, ...]


class Outcome(Struct, frozen=True, forbid_unknown_fields=True):
    """What is predicted: 1 or 0, in the column `outcome`."""

    name: str
    """What people call it; files may bring it under this name."""
    meaning: str = ""
    """What a 1 means, in words."""
    also_called: tuple[str, ...] = ()
    """As of a feature."""
    perhaps_called: tuple[str, ...] = ()
    """As of a feature."""


class Declaration(Struct, frozen=True, dict=True, forbid_unknown_fields=True, rename={"features": "feature"}):
    """The outcome and the features that predict it."""

    outcome: Outcome
    features: Features
    retired: Features = ()
    """No longer asked for; their columns stay, for the versions that were fitted on them. Never in a file."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features, in order."""
        return names_of(self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the tables have: the features, and then the retired ones."""
        return names_of(self.features + self.retired)

    def rules_for(self, fitted: Features) -> Features:
        """The rules that rows are judged by for a version that was fitted on these features, some retired perhaps:
        today's, but for what that version can't take."""
        known = {feature.name: feature for feature in self.features + self.retired}
        return tuple(_as_taken(known[feature.name], feature) for feature in fitted)

    @cached_property
    def spelled(self) -> Mapping[str, str]:
        """What a file may call each column, folded, and the column: asked for each cell of a header."""
        spellings = {each.name: (each.name, *each.also_called) for each in self.features}
        spellings |= {"id": ("id",), "outcome": ("outcome", self.outcome.name, *self.outcome.also_called)}
        spellings |= {key: (key,) for key in KEYS}
        return _by_folded(spellings)

    @cached_property
    def perhaps_spelled(self) -> Mapping[str, str]:
        """The same of names that are no more than a hint."""
        spellings = {each.name: each.perhaps_called for each in self.features}
        return _by_folded(spellings | {"id": ("patientid",), "outcome": self.outcome.perhaps_called})


def _as_taken(today: Feature, fitted: Feature) -> Feature:
    """No value below the range of a fit that may have raised it to a power: its root or reciprocal may be none. And no
    code that the fit never saw where a row can't do without one; elsewhere such a code counts as missing."""
    may_be_raised = fitted.power != 1 and fitted.low is not None and fitted.low >= 0
    if may_be_raised and today.low is not None and fitted.low is not None:
        return replace(today, low=max(today.low, fitted.low))
    if today.kind == "category" and not today.may_be_missing:
        return replace(today, codes={code: today.codes[code] for code in today.codes if code in fitted.codes})
    return today


def names_of(features: Features) -> tuple[str, ...]:
    """Their columns, in order."""
    return tuple(feature.name for feature in features)


def same_measurements(one: Features, other: Features) -> bool:
    """Whether the same is measured, whatever is taken for real and however the model takes it."""
    return {(each.name, each.kind) for each in one} == {(each.name, each.kind) for each in other}


def canonical_name(column: str, declaration: Declaration) -> str | None:
    """The column that a file's header means: case, spaces and underscores aside; None for an unknown one."""
    return declaration.spelled.get(folded_name(column))


def hinted_name(column: str, declaration: Declaration) -> str | None:
    """The column that a file's header may mean."""
    return declaration.perhaps_spelled.get(folded_name(column))


def folded_name(column: str) -> str:
    """A column name without case, spaces and underscores."""
    return column.strip().lower().replace("_", "").replace(" ", "")


def is_number(cell: str) -> bool:
    """Whether a file's cell would do as a measurement; an empty one would."""
    try:
        float(cell or "0")
    except ValueError:
        return False
    return True


def _by_folded(spellings: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    found: dict[str, str] = {}
    # What two columns are called is the first one's.
    for name, each in spellings.items():
        for spelled in each:
            found.setdefault(folded_name(spelled), name)
    return found


def first_difference(configured: Declaration, stored: Declaration) -> str | None:
    """Where two declarations differ first, in words; None where they don't, whatever is retired."""
    if what := _differing_field(configured.outcome, stored.outcome):
        return f"the outcome's {what}"
    for one, other in zip(configured.features, stored.features, strict=False):
        if one.name != other.name:
            position = configured.features.index(one) + 1
            return f"feature {position} is {one.name} in the settings and {other.name} in this database"
        if what := _differing_field(one, other):
            return f"the feature {one.name}: its {what}"
    ours, theirs = len(configured.features), len(stored.features)
    return None if ours == theirs else f"the settings declare {ours} features, this database has {theirs}"


def differing_fields(one: Struct, other: Struct) -> tuple[str, ...]:
    """The names of the fields in which two features, or two outcomes, differ."""
    return tuple(name for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name))


def _differing_field(configured: Struct, stored: Struct) -> str | None:
    for name in differing_fields(configured, stored):
        ours, theirs = getattr(configured, name), getattr(stored, name)
        return f"{name} is {ours!r} in the settings and {theirs!r} in this database"
    return None
