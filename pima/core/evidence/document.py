"""Evidence as a JSON document, which the database keeps beside a verdict."""

from dataclasses import asdict
from typing import Any

from pima.core.evidence.evidence import Evidence

VERSION = 1
"""Grows when a reader of earlier documents would be misled; docs/model-and-gate.md tells what is in it."""


def document(evidence: Evidence) -> dict[str, Any]:
    """The fields by their names, to five significant digits; `reason` only where there is one."""
    found: dict[str, Any] = _rounded(asdict(evidence))
    return {"version": VERSION, **found}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items() if name != "reason" or inner}
    if isinstance(value, tuple):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
