"""A draft of declaration and mapping, from the columns of a table: what each of them is taken for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pima.core.features import MOST_FEATURES, MOST_INPUTS
from pima.core.features import KEYS, folded_name
from pima.core.wording import counted
from pima.suggesting import cells
from pima.suggesting.column_names import names_a_change, names_an_outcomes_time, plain_names
from pima.suggesting.columns import Column
from pima.suggesting.features import Suggested, suggested
from pima.suggesting.keys import Key, Person, key_among, person_among
from pima.suggesting.outcomes import Outcome, outcome_among, tells, two_values
from pima.suggesting.tables import Table


@dataclass(frozen=True, slots=True)
class Refused:
    """A column that is no feature."""

    column: str
    reason: str
    is_left_out: bool = True
    """Whether `load` has to be told to leave it out of a file."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the columns are taken for."""

    table: Table
    names: Mapping[str, str]
    """For each column the plain name of the feature, or of the outcome, that is made of it."""
    outcome: Outcome | None
    key: Key | None
    person: Person | None
    changed_since: str | None
    """A column that may say when a row changed last."""
    outcome_at: str | None
    """A column that may say when the outcome became known."""
    features: tuple[Suggested, ...]
    refused: tuple[Refused, ...]


def draft_of(table: Table) -> Draft | str:
    """The draft; in its place why there is none."""
    unusable = _unusable_names(table)
    columns = [column for column in table.columns if column.name not in unusable]
    outcome = _outcome(table, columns)
    key = key_among(columns)
    person = person_among(columns, key)
    rest = [column for column in columns if outcome is None or column is not outcome.column]
    features, refused = _divided(rest, outcome, key, person)
    refused = [*(Refused(name, *why) for name, why in unusable.items()), *refused]
    if not features:
        return _none_left(table, refused)
    times = [column.name for column in columns if 2 * column.kinds.get(cells.DATE, 0) > column.known]
    used = [each.column.name for each in features] + ([outcome.column.name] if outcome else [])
    return Draft(
        table=table,
        names=plain_names(used) if table.place else plain_names(used, [each.column for each in refused]),
        outcome=outcome,
        key=key,
        person=person,
        changed_since=next(filter(names_a_change, times), None),
        outcome_at=next(filter(names_an_outcomes_time, times), None),
        features=tuple(features),
        refused=tuple(refused),
    )


def _unusable_names(table: Table) -> dict[str, tuple[str, bool]]:
    """Names of columns that can't be named, each with the reason, and whether `load` has to leave it out."""
    names = [column.name for column in table.columns]
    times = Counter(names)
    found = {name: ("a name that several columns have", True) for name in names if times[name] > 1}
    found |= {name: ("a name that is no text", True) for name in names if _is_broken(name)}
    return found if table.place else found | _unusable_in_a_file(table.columns)


def _is_broken(name: str) -> bool:
    return not name.strip() or any("\ud800" <= character <= "\udfff" for character in name)


def _unusable_in_a_file(columns: Sequence[Column]) -> dict[str, tuple[str, bool]]:
    folded = Counter(folded_name(column.name) for column in columns)
    found = {}
    for column in columns:
        name = folded_name(column.name)
        if not column.name.isprintable():
            found[column.name] = ("a name with characters that can't be printed: rename it", True)
        elif folded[name] > 1:
            found[column.name] = ("a name that differs from another in case, spaces or underscores: rename one", True)
        elif name in map(folded_name, KEYS):
            found[column.name] = ("what load takes for the key of a row or a person", False)
        elif name == "id":
            found[column.name] = (_of_id(column), False)
        elif name == "outcome" and two_values(column) is None:
            found[column.name] = ("what load takes for the outcome, but it has not two values: rename it", True)
    return found


def _of_id(column: Column) -> str:
    is_id = column.is_unique and column.numbers.is_whole and column.numbers.count == column.rows
    if is_id and column.numbers.smallest[0] > 0:
        return "what load takes for the patient's id"
    return "what load takes for the patient's id, but that is a whole number above 0: rename it"


def _outcome(table: Table, columns: Sequence[Column]) -> Outcome | None:
    if not table.has_names:
        # A file without a header has its outcome last.
        return outcome_among(columns[-1:])
    named = [column for column in columns if folded_name(column.name) == "outcome"]
    return outcome_among(columns) if table.place or not named else outcome_among(named)


def _divided(
    columns: Sequence[Column], outcome: Outcome | None, key: Key | None, person: Person | None
) -> tuple[list[Suggested], list[Refused]]:
    """Features, and what is none."""
    features: list[Suggested] = []
    refused: list[Refused] = []
    inputs = 0
    named = _named_by_keys(key, person)
    for column in columns:
        found = named.get(column.name) or suggested(column)
        if isinstance(found, Suggested) and outcome is not None and tells(column, outcome):
            found = "says the outcome: each of its values stands beside one outcome only"
        if isinstance(found, Suggested) and (len(features) == MOST_FEATURES or inputs + found.inputs > MOST_INPUTS):
            found = f"beyond {MOST_FEATURES} features or {MOST_INPUTS} inputs"
        if isinstance(found, str):
            refused.append(Refused(column.name, found))
        else:
            features.append(found)
            inputs += found.inputs
    return features, refused


def _named_by_keys(key: Key | None, person: Person | None) -> dict[str, str]:
    names = {column.name: "part of the key" for column in key.columns} if key and len(key.columns) > 1 else {}
    if key and len(key.columns) == 1:
        names = {key.names[0]: "the key"}
    if person and person.is_clear:
        names[person.column.name] = "the person"
    return names


def _none_left(table: Table, refused: Sequence[Refused]) -> str:
    # A name may be any text of any length; here it goes to a terminal.
    reasons = Counter(each.reason for each in refused)
    told = "; ".join(f"{counted(columns, 'column')}: {reason}" for reason, columns in reasons.items())
    return f"None of its {counted(len(table.columns), 'column')} can be a feature ({told})."
