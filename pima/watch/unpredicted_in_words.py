"""Telling whether too many of the new rows have no prediction: in one place for health, alerts, status, the metrics and
the report."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pima.core.unpredicted import NEVER_QUEUED, NOT_LOOKED_UP, Cause, Limits, Unpredicted
from pima.core.wording import counted
from pima.store.predictions import newest_unpredicted

_CAUSES_SHOWN = 5


def as_shown(connection: Connection, limits: Limits) -> dict[str, Any] | None:
    """Return the figures of the last run of scoring; None before any has left its figures."""
    found = newest_unpredicted(connection)
    if found is None:
        return None
    return {
        "since": datetime.fromisoformat(found.since) if found.since else None,
        "rows": found.rows,
        "without_prediction": found.without,
        "too_many": found.are_too_many(limits),
        "causes": [asdict(each) for each in found.causes],
        "what": in_words(found),
    }


def in_words(found: Unpredicted) -> str:
    """Say it in a sentence without its full stop."""
    since = f"new or changed since {datetime.fromisoformat(found.since):%Y-%m-%d %H:%M} UTC" if found.since else ""
    if not found.rows:
        return f"no row was {since}" if since else "no new row has come yet"
    rows = counted(found.rows, "row" if since else "new row")
    all_of_them = f"the {rows} that {'was' if found.rows == 1 else 'were'} {since}" if since else f"the {rows}"
    if not found.without:
        return f"none of {all_of_them} lacks a prediction"
    by_whom: dict[str, list[Cause]] = {}
    for cause in found.causes:
        by_whom.setdefault(_by_whom(cause), []).append(cause)
    causes = ", ".join(f"{sum(each.rows for each in group):,} {who}{_why(group)}" for who, group in by_whom.items())
    return f"{found.without:,} of {all_of_them} {'has' if found.without == 1 else 'have'} no prediction: {causes}"


def _by_whom(cause: Cause) -> str:
    if cause.reason == NEVER_QUEUED:
        return "never queued, written while the triggers were switched off"
    return f"rejected by the pull of {cause.source}" if cause.source else "rejected by scoring"


def _why(causes: list[Cause]) -> str:
    """The reasons and columns in brackets, those with most rows; nothing where none is known."""
    known = [each for each in causes if each.reason not in (NEVER_QUEUED, NOT_LOOKED_UP)]
    whys = [": ".join(filter(None, (each.reason, each.column))).replace("_", " ") for each in known[:_CAUSES_SHOWN]]
    if len(causes) > 1:
        whys = [f"{each.rows:,} {why}" for each, why in zip(known, whys, strict=False)]
    others = sum(each.rows for each in causes) - sum(each.rows for each in known[:_CAUSES_SHOWN])
    if whys and others:
        whys.append(f"{others:,} other")
    return f" ({', '.join(whys)})" if whys else ""
