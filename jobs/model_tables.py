"""Versions and verdicts as tables, rounded for people; `--json` keeps every digit."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Group
from rich.table import Table

from pima.core.declared.features import names_of
from pima.core.verdicts.verdict import Measure, Measured, Performance, gained
from pima.logs import counted
from pima.store.models.ledger import Move, VerdictInBrief
from pima.store.models.registry import VersionSummary, stored_features
from pima.watch.figures import ListedVersions

_SCORES = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "log_loss": "log loss",
    "brier": "Brier score",
    "auc": "area under ROC",
}
_SHOWN_APART = ("challenger", "champion", "measured", "comparison")
_DIFFERENCES = (
    "accuracy_difference",
    "interval_low",
    "interval_high",
    "minimum_detectable_difference",
    "whole_accuracy_difference",
)


def version_list(found: ListedVersions) -> Table:
    """List the versions. Accuracies are not put in one column, since each was measured on other
    rows."""
    table = Table(box=None)
    for name in ("version", "trained", "on", "verdict", "correct on the same test rows"):
        # Columns that a person acts on are not wrapped; the others are.
        table.add_column(name, overflow="fold", no_wrap=name in ("trained", "on", "verdict"))
    for each in found.versions:
        version = each.version
        mark = ""
        if version.number == found.champion:
            mark = " (champion"
            mark += ", pinned" if found.pinned else ""
            mark += ", suspended)" if found.suspended_at else ")"
        table.add_row(
            f"{version.number}{mark}",
            f"{version.created_at:%Y-%m-%d}",
            counted(version.training_rows, "row"),
            *_judged(each.judged),
        )
    return table


def _judged(found: VerdictInBrief | None) -> tuple[str, str]:
    if found is None:
        return "", "none recorded"
    verdict = found.verdict
    if verdict == "blocked":
        verdict = f"blocked: {found.reason}"
    if found.correct is None:
        return verdict, "no finite numbers"
    gain = gained(found.measured)
    by = _other_than_accuracy(found.measured)
    if by is not None:
        beside = f"constant answer: {by.constant:.4f}"
        if by.champion is not None:
            beside = f"version {found.against}: {by.champion:.4f}"
        return verdict, f"{_words(by.measure)} {by.challenger:.4f}, {beside}{gain}"
    beside = f"majority class: {found.majority_correct}"
    if found.champion_correct is not None:
        beside = f"version {found.against}: {found.champion_correct}"
    return verdict, f"{found.correct} of {found.rows}, {beside}{gain}"


def version_with_decisions(version: VersionSummary, moves: Iterable[Move]) -> Group:
    """Show a version's lineage, and each decision about it with its figures, newest first."""
    features = ", ".join(names_of(stored_features(version.features)))
    return Group(
        _facts(asdict(version) | {"features": features}),
        *(part for move in moves for part in _decision(move)),
    )


def _decision(move: Move) -> Iterator[Table | str]:
    yield f"\n{_text(move.decided_at)}: {move.verdict} by {move.decided_by}"
    yield move.explanation
    figures = move.figures
    if figures is None:
        return
    if figures.challenger_scores is not None:
        yield side_by_side(
            (figures.challenger_scores, figures.champion_scores),
            (move.challenger, move.from_version),
            figures.measured,
        )
    shown: dict[str, Any] = {}
    by = _other_than_accuracy(figures.measured)
    if by is not None:
        # In the measure's own unit, which is no share.
        own = {name: value for name, value in asdict(by).items() if not name.startswith("interval")}
        own["interval"] = None
        if by.gain is not None:
            own["interval"] = [by.interval_low, by.interval_high]
        shown["measured"] = own
    if figures.comparison is not None:
        shown |= asdict(figures.comparison)
    others = msgspec.to_builtins(figures)
    shown |= {name: value for name, value in others.items() if name not in _SHOWN_APART}
    yield _facts(shown)


def _other_than_accuracy(measured: Measured | None) -> Measured | None:
    if measured is None or measured.measure is Measure.ACCURACY:
        return None
    return measured


def side_by_side(
    judged: tuple[Performance, Performance | None],
    numbers: tuple[int | None, int | None],
    measured: Measured | None,
) -> Table:
    """Show the figures of challenger and champion on the same rows; `numbers` are those of their
    versions. In a dry run the challenger has none. If no champion was loaded, it has no figures."""
    challenger, champion = judged
    number, against = numbers
    head = "challenger" if number is None else f"challenger, version {number}"
    table = Table("", head, box=None)
    both = [challenger]
    if champion is not None:
        table.add_column(f"champion, version {against}")
        both.append(champion)
    by = _other_than_accuracy(measured)
    if by is not None:
        figures = (by.challenger, by.champion)[: len(both)]
        table.add_row(f"decided by: {_words(by.measure)}", *(f"{each:.4f}" for each in figures))
    table.add_row(f"correct of {challenger.rows}", *(str(each.correct) for each in both))
    for name, label in _SCORES.items():
        table.add_row(label, *(_text(getattr(each, name), name) for each in both))
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
    if name in ("accuracy", "sensitivity", "specificity"):
        return f"{value:.1%}".replace("%", " %")
    return f"{value:.3g}"


def _words(name: str) -> str:
    return name.replace("_", " ")
