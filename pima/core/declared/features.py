"""The declaration: the outcome and the features, in the order in which every array, table and file
has them.

The code names no feature. The shipped declaration is `pima/data/features.toml`; a clinic's settings
name its own. `faults.py` beside it checks all that the rest of the service relies on.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from pima.core.declared.columns import of_kind
from pima.core.declared.group import Group, Groups
from pima.core.declared.present_score import PresentScore, PresentScores


class Feature(Struct, frozen=True, forbid_unknown_fields=True):
    """One declared input of a patient row."""

    name: str
    """The column in every table, file and log."""
    unit: str = ""
    """The unit of the data; the service converts nothing."""
    low: float | None = None
    """The smallest plausible value of a number; a row with a lower one is rejected."""
    high: float | None = None
    """The largest plausible value of a number."""
    zero_is_missing: bool = False
    """Whether the data have 0 if nothing was measured, so that it is read as missing."""
    may_be_missing: bool = False
    """Whether a row without it can be scored (the model puts the training mean in a number's
    place)."""
    kind: Literal["number", "category"] = "number"
    codes: dict[int, str] = {}
    """Each code of a category with its label."""
    unknown: Literal["missing"] | int | None = None
    """How an unrecognised word in an arriving row is read (and counted): as missing, or, for a
    category, as one of its codes, which missing values become as well. None: the row is refused."""
    rationale: str = ""
    """The origin of the range, in words."""
    power: float | None = None
    """The power to which the model raises the number: 1, 0.5 or -1; None leaves the choice to the
    fit."""
    scale: float | None = None
    """The standard deviation to which the power is scaled: the wider, the more the model may rely
    on it. None is 1."""
    bands: tuple[float, ...] = ()
    """A number's edges between subgroups of patients: 30 and 60 make under 30, 30 to under 60, and
    60 and over. Empty: the quartiles of the training rows, rounded. No model sees them."""
    also_called: tuple[str, ...] = ()
    """Other names that its column may have in files."""
    perhaps_called: tuple[str, ...] = ()
    """Names that mean it in some files and something else in others: only a hint in an error."""


Features = tuple[Feature, ...]


Span = Annotated[
    str,
    Meta(
        pattern="^[1-9][0-9]{0,3} (hour|day|week)s?$",
        description='a number of hours, days or weeks: "30 days"',
    ),
]


class Outcome(Struct, frozen=True, forbid_unknown_fields=True):
    """The outcome that is predicted: 1 or 0, in the column `outcome`."""

    name: str
    """The name that people use; a file's column may have it, too."""
    meaning: str = ""
    """The meaning of a 1, in words."""
    horizon: Span | None = None
    """How long the outcome is waited for, from `index_at` of the row on. Whether it comes early or
    not at all, it counts once that is over. None: it counts as soon as it is known."""
    predicted_within: Span | None = None
    """How soon after `index_at` a prediction must come to be judged by the outcome. None: a tenth
    of the horizon, at least a day."""
    least_followed_up: Annotated[float, Meta(gt=0, le=1)] | None = None
    """The share of rows that must have an outcome once their horizon is over: days and weeks
    clearly below it count in nothing. None: nine tenths."""
    learn_from: Literal["all", "predicted"] = "all"
    """Whether models learn from all rows, and are judged on them, or only from those that were
    predicted in time: others may have come with values that tell their outcome."""
    if_acted: Literal["counts", "unknown"] | None = None
    """What the outcome of a row counts on whose prediction somebody acted before it came: as any
    other, so that the risk is that under care as it is given, or for nothing, so that it is the
    risk without acting. None: as any other, and nobody looks at `acted_at`."""
    also_called: tuple[str, ...] = ()
    perhaps_called: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What a 1 means, or else its name."""
        return self.meaning or self.name.replace("_", " ")


class SeenByNoModel(Feature, frozen=True):
    """A score in use or a group as files and sources bring it: a row without it is as good as
    any."""


Declared = Feature | PresentScore | Group


class Declaration(
    Struct,
    frozen=True,
    dict=True,
    forbid_unknown_fields=True,
    rename={"features": "feature", "present_scores": "present_score", "groups": "group"},
):
    """The outcome, the features that predict it, the scores that people use today, and the groups
    that no model sees."""

    outcome: Outcome
    features: Features
    retired: Features = ()
    """Features no longer declared; their columns stay for the versions fitted on them. Never in a
    declaration file."""
    present_scores: PresentScores = ()
    retired_scores: PresentScores = ()
    """Scores no longer declared; their columns stay. Never in a declaration file."""
    groups: Groups = ()
    retired_groups: Groups = ()
    """Groups no longer declared; their columns stay. Never in a declaration file."""

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return names_of(self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of measurements: the features, and then the retired ones."""
        return names_of(self.features + self.retired)

    @property
    def declared(self) -> tuple[Declared, ...]:
        """The features, and then the scores and the groups."""
        return self.features + self.present_scores + self.groups

    @property
    def no_longer_declared(self) -> tuple[Declared, ...]:
        """The same of those that are retired."""
        return self.retired + self.retired_scores + self.retired_groups

    @property
    def score_columns(self) -> tuple[str, ...]:
        """The columns of scores, which stand beside those in the tables: no model sees them."""
        return names_of(self.present_scores + self.retired_scores)

    @property
    def copied(self) -> tuple[str, ...]:
        """The columns that the queue has a copy of: those of measurements, and then of scores."""
        return self.columns + self.score_columns

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns of groups, which only `patients` has."""
        return names_of(self.groups + self.retired_groups)

    def present_score(self, name: str) -> PresentScore | None:
        """The score in use of this name; None if none is declared so."""
        return next((each for each in self.present_scores if each.name == name), None)

    @property
    def arriving(self) -> Features:
        """All that files and sources bring as numbers or codes: the features, and the scores and
        groups, which may be missing."""
        return self.features + tuple(map(_as_number, self.present_scores)) + self.dividing

    @property
    def dividing(self) -> Features:
        """The groups as numbers and categories."""
        return tuple(map(as_divided, self.groups))

    def rules_for(self, fitted: Features) -> Features:
        """Today's rules for a version that was fitted on these features, some perhaps retired;
        narrowed to what that version can take."""
        return tuple(map(_as_taken, self.called(names_of(fitted)), fitted))

    def called(self, names: Iterable[str]) -> Features:
        """The features of these names, some perhaps retired, as they are declared today."""
        known = {feature.name: feature for feature in self.features + self.retired}
        return tuple(known[name] for name in names)

    @cached_property
    def spelled(self) -> Mapping[str, str]:
        """Folded names that a file may give a column, and the column; cached, since each cell of a
        header needs it."""
        spellings = {each.name: (each.name, *each.also_called) for each in self.declared}
        spellings |= {
            "id": ("id",),
            "outcome": ("outcome", self.outcome.name, *self.outcome.also_called),
            "labelled_at": ("outcome_at",),
        }
        own = (*of_kind("key"), *of_kind("moment"))
        return _by_folded(spellings | {name: (name,) for name in own})

    @cached_property
    def perhaps_spelled(self) -> Mapping[str, str]:
        """Folded names that only hint at a column, and the column."""
        spellings = {each.name: each.perhaps_called for each in self.declared}
        return _by_folded(
            spellings | {"id": ("patientid",), "outcome": self.outcome.perhaps_called}
        )


def _as_taken(today: Feature, fitted: Feature) -> Feature:
    # A fit may have raised a number to a power: below the fitted range its root or reciprocal may
    # not exist. A code that the fit did not know is refused if the feature may not be missing;
    # otherwise the code counts as missing.
    may_be_raised = fitted.power != 1 and fitted.low is not None and fitted.low >= 0
    if may_be_raised and today.low is not None and fitted.low is not None:
        return replace(today, low=max(today.low, fitted.low))
    if today.kind == "category" and not today.may_be_missing:
        return replace(
            today, codes={code: today.codes[code] for code in today.codes if code in fitted.codes}
        )
    return today


def _as_number(score: PresentScore) -> Feature:
    low, high = score.limits
    # A word in its column costs no row its prediction: it is counted.
    return SeenByNoModel(score.name, low=low, high=high, may_be_missing=True, unknown="missing")


def as_divided(group: Group) -> Feature:
    """A group as the number or the category that its column holds."""
    found = SeenByNoModel(group.name, may_be_missing=True, unknown="missing")
    if group.codes:
        return replace(found, kind="category", codes=group.codes)
    return replace(found, bands=group.bands, low=-1e30, high=1e30)


def names_of(declared: Sequence[Declared]) -> tuple[str, ...]:
    """The columns of features, scores or groups, in order."""
    return tuple(each.name for each in declared)


def same_measurements(one: Features, other: Features) -> bool:
    """Whether both measure the same, whatever the ranges are and however the model takes the
    values."""
    return {(each.name, each.kind) for each in one} == {(each.name, each.kind) for each in other}


def canonical_name(column: str, declaration: Declaration) -> str | None:
    """The column that a name in a file's header means, ignoring case, spaces and underscores; None
    if unknown."""
    return declaration.spelled.get(folded_name(column))


def hinted_name(column: str, declaration: Declaration) -> str | None:
    """The column that a name in a file's header may mean."""
    return declaration.perhaps_spelled.get(folded_name(column))


def folded_name(column: str) -> str:
    """A column name without case, spaces and underscores."""
    return column.strip().lower().replace("_", "").replace(" ", "")


def is_number(cell: str) -> bool:
    """Whether a file's cell can be a measurement; an empty one can."""
    try:
        float(cell or "0")
    except ValueError:
        return False
    return True


def _by_folded(spellings: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    found: dict[str, str] = {}
    # A name that two columns share belongs to the first.
    for name, each in spellings.items():
        for spelled in each:
            found.setdefault(folded_name(spelled), name)
    return found


def first_difference(configured: Declaration, stored: Declaration) -> str | None:
    """The first difference of two declarations, in words; None if there is none. Retired features
    do not count."""
    one = (configured.outcome, *configured.declared)
    other = (stored.outcome, *stored.declared)
    for ours, theirs in zip_longest(one, other):
        here = _named(ours)
        there = _named(theirs)
        if ours is None or theirs is None or here != there:
            return f"{here} stands in the settings where this database has {there}"
        for name in differing_fields(ours, theirs):
            said = (
                f"{getattr(ours, name)!r} in the settings and {getattr(theirs, name)!r} in this "
                "database"
            )
            return f"{name} of {ours.name} is {said}"
    return None


def _named(declared: Declared | Outcome | None) -> str:
    if isinstance(declared, PresentScore):
        return f"the score {declared.name}"
    if isinstance(declared, Group):
        return f"the group {declared.name}"
    if declared is None:
        return "nothing"
    return declared.name


def differing_fields(one: Struct, other: Struct) -> tuple[str, ...]:
    """The names of the fields in which two of what is declared differ."""
    return tuple(
        name for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name)
    )


def inputs(feature: Feature) -> int:
    """Columns of the model's first layer: one for a number, one for each code of a category."""
    return len(feature.codes) or 1
