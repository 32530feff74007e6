"""The eight measurements: the one table that says what each is, what it may be, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """One measurement of a patient row."""

    name: str
    """The column in every table, file and log."""
    unit: str
    """As recorded in the data set; the service converts nothing."""
    low: float
    """The smallest value that is taken for real; below it the row is rejected."""
    high: float
    """The largest value that is taken for real."""
    zero_means_missing: bool
    """The data set writes 0 where nothing was measured: no living person has it, so it is read as missing."""
    may_be_missing: bool
    """Whether a row without it can be scored (the model then puts the training mean in its place)."""
    rationale: str
    """Where the range comes from, in words; `seen` is the range in the shipped 768 rows, zeros left out."""


FEATURES = (
    Feature("pregnancies", "count", 0, 25, False, False, "seen 0 to 17; above 25 is taken for a typing error"),
    Feature("glucose", "mg/dL", 20, 600, True, True, "seen 44 to 199; point-of-care meters read 20 to 600"),
    Feature("blood_pressure", "mmHg, diastolic", 10, 200, True, True, "seen 24 to 122; cuffs read up to 200"),
    Feature("skin_thickness", "mm, triceps fold", 1, 120, True, True, "seen 7 to 99; calipers open to 80, folds add"),
    Feature("insulin", "mu U/mL, 2 hours", 1, 2000, True, True, "seen 14 to 846; assays are diluted above 1000"),
    Feature("bmi", "kg/m2", 8, 150, True, True, "seen 18.2 to 67.1; survivable extremes lie within 8 and 150"),
    Feature("diabetes_pedigree", "score", 0.0, 5.0, False, False, "seen 0.078 to 2.42; never negative by its formula"),
    Feature("age", "years", 18, 120, False, False, "seen 21 to 81; the study took adults only"),
)

FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

# Column names of other copies of the data set, spelled as `canonical_name` folds them.
_OTHER_SPELLINGS = {"diabetespedigreefunction": "diabetes_pedigree", "class": "outcome"}


def canonical_name(column: str) -> str | None:
    """The column that a file's header means: case, spaces and underscores aside; None for an unknown one."""
    folded = column.strip().lower().replace("_", "").replace(" ", "")
    return _BY_FOLDED_NAME.get(folded) or _OTHER_SPELLINGS.get(folded)


_BY_FOLDED_NAME = {name.replace("_", ""): name for name in ("id", *FEATURE_NAMES, "outcome")}
