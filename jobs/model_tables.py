"""Versions and verdicts as tables, rounded for people; `--json` keeps every digit."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.table import Table

from pima.core.features import names_of
from pima.logs import counted
from pima.store.registry import as_features

_SCORES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "log_loss": "log loss",
    "brier": "Brier score",
    "auc": "area under ROC",
}
_DIFFERENCES = (
    "accuracy_difference",
    "interval_low",
    "interval_high",
    "minimum_detectable_difference",
    "whole_accuracy_difference",
)


def version_list(versions: list[dict[str, Any]], champion: int | None, pinned: bool) -> Table:
    """List the versions. Accuracies are not put in one column, since each was measured on other
    rows."""
    table = Table(box=None)
    for name in ("version", "trained", "on", "verdict", "correct on the same test rows"):
        # Columns that a person acts on are not wrapped; the others are.
        table.add_column(name, overflow="fold", no_wrap=name in ("trained", "on", "verdict"))
    mark = " (champion, pinned)" if pinned else " (champion)"
    for version in versions:
        table.add_row(
            f"{version['number']}{mark if version['number'] == champion else ''}",
            f"{version['created_at']:%Y-%m-%d}",
            counted(version["training_rows"], "row"),
            *_judged(version["judged"]),
        )
    return table


def _judged(found: dict[str, Any] | None) -> tuple[str, str]:
    if found is None:
        return "", "none recorded"
    blocked = found["verdict"] == "blocked"
    verdict = f"blocked: {found['reason']}" if blocked else found["verdict"]
    if found["correct"] is None:
        return verdict, "no finite numbers"
    if by := _other_than_accuracy(found["measured"]):
        beside = "constant answer" if by["champion"] is None else f"version {found['against']}"
        other = by["constant"] if by["champion"] is None else by["champion"]
        return verdict, f"{_words(by['measure'])} {by['challenger']:.4f}, {beside}: {other:.4f}"
    beside = f"majority class: {found['majority_correct']}"
    if found["champion_correct"] is not None:
        beside = f"version {found['against']}: {found['champion_correct']}"
    return verdict, f"{found['correct']} of {found['rows']}, {beside}"


def version_with_decisions(version: dict[str, Any], decisions: list[dict[str, Any]]) -> Group:
    """Show a version's lineage, and each decision about it with its figures, newest first."""
    features = ", ".join(names_of(as_features(version["features"])))
    return Group(
        _facts(version | {"features": features}),
        *(part for move in decisions for part in _decision(move)),
    )


def _decision(move: dict[str, Any]) -> Iterator[Table | str]:
    yield f"\n{_text(move['decided_at'])}: {move['verdict']} by {move['decided_by']}"
    yield move["explanation"]
    figures = dict(move["figures"])
    challenger, champion = figures.pop("challenger", None), figures.pop("champion", None)
    measured = figures.pop("measured", None)
    if challenger is not None:
        yield side_by_side(challenger, champion, move["challenger"], move["from_version"], measured)
    comparison = figures.pop("comparison", None) or {}
    by = dict(_other_than_accuracy(measured) or {})
    if by:
        # In the measure's own unit, which is no share.
        by["interval"] = None if by["gain"] is None else [by["interval_low"], by["interval_high"]]
        del by["interval_low"], by["interval_high"]
    yield _facts(({"measured": by} if by else {}) | comparison | figures)


def _other_than_accuracy(measured: dict[str, Any] | None) -> dict[str, Any] | None:
    return measured if measured and measured["measure"] != "accuracy" else None


def side_by_side(
    challenger: dict[str, Any],
    champion: dict[str, Any] | None,
    number: int | None,
    against: int | None,
    measured: dict[str, Any] | None,
) -> Table:
    """Show both models' scores on the same rows. `number` is None in a dry run, `champion` if none
    was loaded."""
    table = Table("", f"challenger, version {number}" if number else "challenger", box=None)
    both = [challenger]
    if champion is not None:
        table.add_column(f"champion, version {against}")
        both.append(champion)
    if by := _other_than_accuracy(measured):
        figures = (by["challenger"], by["champion"])[: len(both)]
        table.add_row(
            f"decided by: {_words(by['measure'])}", *(f"{figure:.4f}" for figure in figures)
        )
    table.add_row(f"correct of {challenger['rows']}", *(str(scores["correct"]) for scores in both))
    for name, label in _SCORES.items():
        table.add_row(label, *(_text(scores[name], name) for scores in both))
    return table


def _facts(values: Mapping[str, Any]) -> Table:
    table = Table("", "", box=None, show_header=False)
    for name, value in dict(_spread(values)).items():
        table.add_row(_words(name), _text(value, name))
    return table


def _spread(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Flatten nested tables, so that each inner table gets a line."""
    for name, value in values.items():
        if isinstance(value, dict) and any(isinstance(part, dict) for part in value.values()):
            yield from _spread(value)
        else:
            yield name, value


def _text(value: Any, name: str = "") -> str:
    if isinstance(value, dict):
        return (
            ", ".join(f"{_words(part)} {_text(inner, part)}" for part, inner in value.items())
            or "none"
        )
    if isinstance(value, list):
        return " ".join(_text(part) for part in value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M %Z}"
    if isinstance(value, float):
        return _number(value, name)
    return "none" if value is None else str(value)


def _number(value: float, name: str) -> str:
    if name in _DIFFERENCES:
        return f"{100 * value:+.1f} points"
    return (
        f"{value:.1%}".replace("%", " %")
        if name in ("accuracy", "sensitivity", "specificity")
        else f"{value:.3g}"
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
