"""The kinds of columns that rows of patients have, on their way in and in the tables."""

from typing import Literal

ColumnKind = Literal["key", "outcome", "known_at", "feature", "moment", "beside"]
"""A key says whose a row is, in the system that it comes from. An outcome is known from a time on,
which the service notes where nobody tells it. A moment is a time of the row that comes with it and
that no model sees. What stands beside them is drawn or noted by the service itself."""

_NAMES: dict[ColumnKind, str] = {
    "key": "source source_key person_key",
    "outcome": "outcome",
    "known_at": "labelled_at",
    "moment": "index_at acted_at",
    "beside": "id version recorded_at updated_at patient_id patient_version enqueued_at "
    "requeued replaced_at line known reason field",
}
KINDS: dict[str, ColumnKind] = {
    name: kind for kind, names in _NAMES.items() for name in names.split()
}
"""Each column that is no feature, with its kind."""
TIMES = {"labelled_at": "outcome_at"} | {name: name for name in _NAMES["moment"].split()}
"""The columns of times that files and sources bring in, each with what it is called there."""


def kind_of(column: str) -> ColumnKind:
    """The kind of a column; what has no other kind is a feature."""
    return KINDS.get(column, "feature")


def of_kind(kind: ColumnKind) -> tuple[str, ...]:
    """The columns of a kind other than features."""
    return tuple(_NAMES[kind].split())
