"""How the service stands today, whichever version is asked for: what an alarm says, whether a
person has stopped or pinned the champion, where rows come from, and what the gate asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pima.settings.sections import GateSettings, Settings
from pima.watch.figures import read_figures
from pima.watch.model_alarms import open_alarms


@dataclass(frozen=True, slots=True)
class Today:
    """The service beside a version."""

    alarms: tuple[str, ...]
    suspended_at: datetime | None
    """Since when a person has stopped the champion."""
    pinned: bool
    sources: tuple[str, ...]
    """The declared ones by name; without one, rows come from files or other software."""
    gate: str
    """What a challenger must do, in words."""
    guards_subgroups: bool


def read_today(connection: Connection, settings: Settings) -> Today:
    """Read how the service stands."""
    found = read_figures(connection, settings)
    champion = found.champion
    return Today(
        alarms=tuple(map(str, open_alarms(connection, found, settings.source_names))),
        suspended_at=champion.suspended_at,
        pinned=champion.pinned,
        sources=tuple(settings.source_names),
        gate="; ".join(_demands(settings.gate)),
        guards_subgroups=settings.gate.subgroup_margin != "off",
    )


def _demands(gate: GateSettings) -> Iterator[str]:
    rows = "all held-out rows"
    if gate.window == "recent":
        rows = f"held-out rows of the last {gate.window_weeks} weeks"
    yield f"judged by {gate.measure.replace('_', ' ')} on {rows}"
    if gate.minimum_gain:
        yield f"it must gain at least {gate.minimum_gain:g}"
    if gate.first_must_beat:
        yield f"the first version must beat {gate.first_must_beat}"
    if gate.subgroup_margin == "off":
        yield "no margin guards subgroups (`gate.subgroup_margin` is off)"
    else:
        yield f"no subgroup or declared group may lose more than {gate.subgroup_margin:g}"
    yield "a person promotes what won" if gate.approve else "what wins is put to use by itself"
