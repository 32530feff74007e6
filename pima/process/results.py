"""What a workflow did: a frozen record, and the JSON that it becomes.

A command's `--json`, the column `runs.counts` and the log line of a run's end are this same JSON, so a record's field
names are a contract with whoever reads those.
"""

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

INLINED = {"inlined": True}
"""The metadata of a field whose value is a record: that one's fields stand in its place, and none where it is None."""


def as_json(record: "DataclassInstance") -> dict[str, Any]:
    """The record's fields by name, in their order."""
    found: dict[str, Any] = {}
    for each in fields(record):
        value = _as_json(getattr(record, each.name))
        found |= (value or {}) if each.metadata == INLINED else {each.name: value}
    return found


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return as_json(value)
    return [_as_json(item) for item in value] if isinstance(value, tuple) else value
