"""The figures of the service: the record that status, report, metrics, health and alerts use, and
the output of `status` and `models list`. It needs no numpy until an outcome has come after a
prediction."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from pima.core.thresholds import not_in_use, out_of_reach
from pima.core.watched import OUTCOME_ALARMS, Limits, volumes
from pima.settings.sections import Settings
from pima.store import monitoring, queue, registry, report_figures, runs
from pima.store import sources as source_store
from pima.store.engine import clock, reading
from pima.store.ledger import last_verdicts, list_moves, own_verdicts
from pima.store.monitoring import (
    KeptFigure,
    keep_figures,
    newest_figures,
    rejected_by_pulls,
    rows_of_nights,
)
from pima.store.queue import Waiting
from pima.store.registry import Champion, VersionSummary
from pima.store.settled import SettledOutcome, settled_outcomes, start_of_week
from pima.store.sources import SourcePull
from pima.watch.model_alarms import model_alarms
from pima.watch.unpredicted import as_shown

RUNS_SHOWN = 8
VERDICTS_SHOWN = 3
NIGHTS_SHOWN = 30
NEWEST_OUTCOMES = 10_000
REALISED = "realised_"
"""The prefix of figures that compare predictions with outcomes."""


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """The state of the service at one moment, read from the database, so it is correct after any
    restart."""

    now: datetime
    """The time by the database's clock."""
    champion: Champion
    version: VersionSummary | None
    """The champion's version; None if there is no champion."""
    last_verdict: str | None
    """The explanation of the newest retraining; None before the first."""
    waiting: Waiting
    new_rows: dict[str, Any] | None
    """How many rows have no prediction, and why; None until a run of scoring has left its
    figures."""
    succeeded: dict[str, datetime]
    pulled: dict[str, SourcePull]
    """The last successful pull of each declared source."""
    monitoring: list[KeptFigure]
    """The newest figures of the nights, the newest realised ones, and what settled outcomes say."""

    @property
    def of_nights(self) -> list[KeptFigure]:
        """The newest figures of the last nights."""
        return [
            each
            for each in self.monitoring
            if not each.figure.startswith((REALISED, *OUTCOME_ALARMS))
        ]

    @property
    def of_outcomes(self) -> list[KeptFigure]:
        """The realised figures of each version, as of the last retraining."""
        return [each for each in self.monitoring if each.figure.startswith(REALISED)]


def read_figures(connection: Connection, sources: Sequence[str], limits: Limits) -> ServiceFigures:
    """Read the record. `sources` names the declared sources; `limits` says how many rows may have
    no prediction."""
    champion = registry.read_champion(connection)
    number = champion.model_version
    now = clock(connection)
    successes = source_store.last_successes(connection) if sources else {}
    return ServiceFigures(
        now=now,
        champion=champion,
        version=None if number is None else registry.read_version(connection, number),
        last_verdict=monitoring.newest_retraining(connection).get("explanation"),
        waiting=queue.waiting(connection),
        new_rows=as_shown(connection, limits),
        succeeded=monitoring.last_success(connection),
        pulled={source: successes[source] for source in sources if source in successes},
        monitoring=newest_figures(connection, now),
    )


def leave_volumes(run_id: int, connection: Connection) -> None:
    """Store how many rows came tonight and in a week, for a run with nothing to do; does nothing
    without a champion."""
    champion = registry.read_champion(connection).model_version
    if champion is not None:
        keep_figures(
            connection, run_id, champion, volumes(rows_of_nights(connection, clock(connection)))
        )


def on_threshold(connection: Connection, now: float | str) -> list[str]:
    """What people should know of the champion's threshold, or of the newest version's if there is
    no champion; `now` is `retrain.threshold`."""
    numbers = registry.numbers(connection)
    newest = registry.read_version(connection, numbers[-1]) if numbers else None
    champion = registry.read_champion(connection).model_version
    used = newest if champion is None else registry.read_version(connection, champion)
    if used is None or newest is None:
        return []
    sensitivity = None if used.scores is None else used.scores.sensitivity
    is_fitted = newest.settings.get("threshold") == now
    return [
        *out_of_reach(used.number, used.threshold, sensitivity),
        *not_in_use(
            used.number,
            used.settings.get("threshold", used.threshold),
            now,
            newest.number if is_fitted else None,
        ),
    ]


def overview(
    engine: Engine, settings: Settings, nights_shown: int = NIGHTS_SHOWN
) -> dict[str, Any]:
    """Read everything that `status` shows, in one transaction."""
    sources = [source.name for source in settings.sources]
    with reading(engine) as connection:
        found = read_figures(connection, sources, settings.health.limits)
        settled = settled_outcomes(connection, NEWEST_OUTCOMES)
        standing = _standing(connection, settled.in_time, found.champion.model_version)
        before_1900 = report_figures.count_before_1900(connection)
        last_pulls = source_store.last_pulls(connection) if sources else {}
        last = runs.last_runs(connection, RUNS_SHOWN)
        verdicts = last_verdicts(connection, VERDICTS_SHOWN)
        nights = report_figures.last_nights(connection, nights_shown)
        rejected_there = source_store.rejected_rows(connection) if sources else []
        rejected = report_figures.rejections_by_reason(connection)
        remarks = on_threshold(connection, settings.retrain.threshold)
    version, waiting = found.version, found.waiting
    realised, follow_up = settled.in_time, settled.follow_up
    correct = sum(each.predicted_class == each.outcome for each in realised)
    return {
        "champion": {
            "version": found.champion.model_version,
            "pinned": found.champion.pinned,
            "trained_at": version and version.created_at,
            "holdout_accuracy": version and version.scores and version.scores.accuracy,
            "last_verdict": found.last_verdict,
            "threshold_remarks": remarks,
        },
        "queue": {"rows": waiting.rows, "oldest": waiting.oldest},
        "realised": {
            "outcomes": len(realised),
            "correct": correct,
            "accuracy": correct / len(realised) if realised else None,
            "of_those_followed_up": follow_up.is_of_few,
            "left_out": len(settled.left_out),
            "late": settled.late,
            "early": settled.early,
        },
        "follow_up": [
            {
                "monday": start_of_week(week.number).date(),
                "rows": week.rows,
                "outcomes": week.outcomes,
                "in_figures": week.number not in follow_up.left_out,
            }
            for week in follow_up.weeks
            if settled.over_by is not None
        ],
        "standing": standing,
        "realised_weeks": _weeks(realised) if realised else [],
        "outcomes_before_1900": before_1900,
        "sources": [
            {
                "source": name,
                "last_pull": asdict(last_pulls[name]) if name in last_pulls else None,
                "last_success": found.pulled[name].at if name in found.pulled else None,
                "rejected": [
                    {"reason": each.reason, "field": each.field, "rows": each.rows}
                    for each in rejected_there
                    if each.source == name
                ],
            }
            for name in sources
        ],
        "runs": [asdict(run) for run in last],
        "verdicts": verdicts,
        "nights": [_night(run) for run in nights],
        "new_rows": found.new_rows,
        "monitoring": [asdict(figure) for figure in found.monitoring],
        "alarms": [str(each) for each in model_alarms(found.monitoring)],
        "rejections": [
            {"reason": reason, "field": field, "rows": rows}
            for (reason, field), rows in sorted(
                rejected.items(), key=lambda item: (-item[1], item[0])
            )
        ],
    }


def _standing(
    connection: Connection, settled: Sequence[SettledOutcome], champion: int | None
) -> dict[str, object] | None:
    """The figures of the version that can be told, beside the area that its verdict found; None if
    no outcome of a prediction is settled."""
    if not settled:
        return None
    from pima.watch.realised import told_standing

    version, found = told_standing(settled, champion)
    judged = registry.read_version(connection, version)
    area = judged and judged.scores and judged.scores.auc
    return asdict(found) | {"version": version, "events": found.events, "verdict_auroc": area}


def _weeks(realised: Sequence[SettledOutcome]) -> list[dict[str, object]]:
    # Imported here, since it imports numpy, which is not needed before there are outcomes.
    from pima.watch.realised import by_week

    return [
        {
            "monday": week.monday,
            "outcomes": week.outcomes,
            "correct": week.correct,
            "accuracy": week.share and week.share.value,
        }
        for week in by_week(realised)
    ]


def _night(run: runs.Run) -> dict[str, object]:
    assert run.finished_at is not None  # noqa: S101 (the query selects by it)
    by_pulls = rejected_by_pulls(run.counts)
    return {
        "started_at": run.started_at,
        "status": run.status,
        "seconds": (run.finished_at - run.started_at).total_seconds(),
        "predicted": run.counts.get("predicted", 0),
        "rejected": run.counts.get("rejected", 0) + by_pulls,
        "rejected_by_pulls": by_pulls,
    }


def versions(engine: Engine, threshold: float | str) -> dict[str, object]:
    """Read everything that `models list` shows, newest first: each version with its result and the
    then champion's on the same rows; `threshold` is `retrain.threshold`."""
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        listed = registry.list_versions(connection)
        verdicts = own_verdicts(list_moves(connection))
        remarks = on_threshold(connection, threshold)
    judged = {
        number: {
            "verdict": move.verdict,
            "reason": move.reason,
            "against": move.from_version,
            **move.figures.in_brief,
        }
        for number, move in verdicts.items()
        if move.figures is not None
    }
    return {
        "champion": champion.model_version,
        "pinned": champion.pinned,
        "threshold_remarks": remarks,
        "versions": [
            asdict(version) | {"judged": judged.get(version.number)} for version in listed
        ],
    }
