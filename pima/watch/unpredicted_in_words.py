"""Whether too many of the new rows have no prediction, in one place for all who tell of it: health, alerts, status, the
metrics and the report."""

from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from pima.core.unpredicted import NEVER_QUEUED, NOT_LOOKED_UP, Cause, Limits, Unpredicted
from pima.core.wording import counted
from pima.store.unpredicted import newest_figures

_CAUSES_SHOWN = 5


def as_shown(connection: Connection, limits: Limits) -> dict[str, Any] | None:
    """As of the last run of scoring; None before any has left its figures."""
    found = newest_figures(connection)
    if found is None:
        return None
    return {
        "since": datetime.fromisoformat(found.since) if found.since else None,
        "rows": found.rows,
        "without_prediction": found.without,
        "too_many": found.are_too_many(limits),
        "causes": [
            {"source": each.source, "reason": each.reason, "column": each.column, "rows": each.rows}
            for each in found.causes
        ],
        "what": in_words(found),
    }


def in_words(found: Unpredicted) -> str:
    """A sentence without its full stop."""
    since = f"new or changed since {datetime.fromisoformat(found.since):%Y-%m-%d %H:%M} UTC" if found.since else ""
    if not found.rows:
        return f"no row was {since}" if since else "no new row has come yet"
    rows = counted(found.rows, "row" if since else "new row")
    all_of_them = f"the {rows} that {'was' if found.rows == 1 else 'were'} {since}" if since else f"the {rows}"
    if not found.without:
        return f"none of {all_of_them} lacks a prediction"
    causes = ", ".join(_rejected(who, list(causes)) for who, causes in groupby(_together(found), _who))
    return f"{found.without:,} of {all_of_them} {'has' if found.without == 1 else 'have'} no prediction: {causes}"


def _who(cause: Cause) -> str:
    if cause.reason == NEVER_QUEUED:
        return "never queued, written while the triggers were switched off"
    return f"rejected by the pull of {cause.source}" if cause.source else "rejected by scoring"


def _together(found: Unpredicted) -> list[Cause]:
    """Those together that go together, in the order in which they come first."""
    order = list(dict.fromkeys(map(_who, found.causes)))
    return sorted(found.causes, key=lambda each: order.index(_who(each)))


def _rejected(who: str, causes: list[Cause]) -> str:
    told = f"{sum(each.rows for each in causes):,} {who}"
    known = [each for each in causes if each.reason not in (NEVER_QUEUED, NOT_LOOKED_UP)]
    if not known:
        return told
    if len(causes) == 1:
        return f"{told} ({_why(known[0])})"
    shown = [f"{each.rows:,} {_why(each)}" for each in known[:_CAUSES_SHOWN]]
    if len(causes) > len(shown):
        shown.append(f"{sum(each.rows for each in causes) - sum(each.rows for each in known[:_CAUSES_SHOWN]):,} other")
    return f"{told} ({', '.join(shown)})"


def _why(cause: Cause) -> str:
    return ": ".join(filter(None, (cause.reason.replace("_", " "), cause.column.replace("_", " "))))
