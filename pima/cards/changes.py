"""What is another way than in the version before."""

from collections.abc import Iterator, Mapping
from typing import Any

from pima.core.features import Features, differing_fields

NOTHING = "nothing but the rows that it learned from"


def changes(
    now: Mapping[str, Any], before: Mapping[str, Any], features: Features, features_before: Features
) -> list[str]:
    """In sentences, of what versions are described by: `training_rows`, `last_outcome`, `threshold`, `settings` and
    `libraries`."""
    found = [*_features(features, features_before), *_plain(now, before)]
    for name in ("settings", "libraries"):
        found += _entries(name, now[name], before[name])
    return found


def _features(now: Features, before: Features) -> Iterator[str]:
    ours, theirs = ({each.name: each for each in features} for features in (now, before))
    yield from (f"a new input: {name}" for name in ours if name not in theirs)
    yield from (f"no longer an input: {name}" for name in theirs if name not in ours)
    for name in ours:
        if name in theirs and (differing := differing_fields(ours[name], theirs[name])):
            yield f"declared otherwise: {name} ({', '.join(differing)})"


def _plain(now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    for name in ("training_rows", "last_outcome", "threshold"):
        if now[name] != before[name]:
            yield f"{name.replace('_', ' ')}: {before[name]} -> {now[name]}"


def _entries(name: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*now, *before}):
        if now.get(key) != before.get(key):
            yield f"{name}, {key.replace('_', ' ')}: {before.get(key, 'none')} -> {now.get(key, 'none')}"
