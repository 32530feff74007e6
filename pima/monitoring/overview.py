"""How things stand, on one screen, from the champion to the last runs; all versions with their verdicts."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine

from pima.monitoring.unpredicted import as_shown
from pima.monitoring.weeks import accuracy_of_weeks
from pima.settings.sections import Settings
from pima.store import pulled_sources, queue, registry, report_figures, runs, service_figures
from pima.store.engine import reading
from pima.store.monitoring import newest_figures
from pima.store.predictions import realised_accuracy
from pima.store.unpredicted import rejected_by_pulls

RUNS_SHOWN = 8
VERDICTS_SHOWN = 3
NIGHTS_SHOWN = 30
NEWEST_OUTCOMES = 1_000


def overview(engine: Engine, settings: Settings) -> dict[str, Any]:
    """Everything `status` shows, read in one transaction."""
    sources = [source.name for source in settings.sources]
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        version = None
        if champion.model_version is not None:
            version = registry.read_version(connection, champion.model_version)
        waiting = queue.waiting(connection)
        realised = realised_accuracy(connection, NEWEST_OUTCOMES)
        last = runs.last_runs(connection, RUNS_SHOWN)
        verdict = service_figures.last_verdict(connection)
        pulled = _pulled(connection, sources) if sources else []
        weeks = _weeks(connection) if realised.outcomes else []
        verdicts = service_figures.last_verdicts(connection, VERDICTS_SHOWN)
        nights = report_figures.last_nights(connection, NIGHTS_SHOWN)
        rejected = report_figures.rejections_by_reason(connection)
        figures = newest_figures(connection)
        new_rows = as_shown(connection, settings.health.limits)
    return {
        "champion": {
            "version": champion.model_version,
            "pinned": champion.pinned,
            "trained_at": version and version.created_at,
            "holdout_accuracy": version and (version.metrics["holdout"] or {}).get("accuracy"),
            "last_verdict": verdict,
        },
        "queue": {"rows": waiting.rows, "oldest": waiting.oldest},
        "realised": {**asdict(realised), "accuracy": realised.accuracy},
        "realised_weeks": weeks,
        "sources": pulled,
        "runs": [asdict(run) for run in last],
        "verdicts": [asdict(each) for each in verdicts],
        "nights": [_night(run) for run in nights],
        "new_rows": new_rows,
        "monitoring": [asdict(figure) for figure in figures],
        "rejections": [
            {"reason": reason, "field": field, "rows": rows}
            for (reason, field), rows in sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
        ],
    }


def _weeks(connection: Connection) -> list[dict[str, Any]]:
    """Of the same outcomes as the realised accuracy, newest first."""
    # Only here, since it brings numpy: before there are outcomes nothing needs it.
    from pima.core.subgroups import shown

    return accuracy_of_weeks(report_figures.came_true(connection, NEWEST_OUTCOMES), shown)


def _night(run: runs.Run) -> dict[str, Any]:
    assert run.finished_at is not None  # noqa: S101 (they were asked for by it)
    by_pulls = rejected_by_pulls(run.counts)
    return {
        "started_at": run.started_at,
        "status": run.status,
        "seconds": (run.finished_at - run.started_at).total_seconds(),
        "predicted": run.counts.get("predicted", 0),
        "rejected": run.counts.get("rejected", 0) + by_pulls,
        "rejected_by_pulls": by_pulls,
    }


def _pulled(connection: Connection, sources: Sequence[str]) -> list[dict[str, Any]]:
    """Of each source its last pull, where there was one, and when all of it was last brought."""
    last, successes = pulled_sources.last_pulls(connection), pulled_sources.last_successes(connection)
    return [
        {
            "source": name,
            "last_pull": asdict(last[name]) if name in last else None,
            "last_success": successes[name].at if name in successes else None,
        }
        for name in sources
    ]


def versions(engine: Engine) -> dict[str, Any]:
    """Everything `models list` shows, newest first: each version with what it and the champion then got on the same
    rows."""
    with reading(engine) as connection:
        champion = registry.read_champion(connection)
        listed = registry.list_versions(connection)
        moves = registry.list_moves(connection)
    # A version is challenger once; a person's moves have none.
    judged = {move["challenger"]: _judged(move) for move in moves}
    return {
        "champion": champion.model_version,
        "pinned": champion.pinned,
        "versions": [asdict(version) | {"judged": judged.get(version.number)} for version in listed],
    }


def _judged(move: dict[str, Any]) -> dict[str, Any]:
    figures = move["figures"]
    challenger, champion = figures.get("challenger") or {}, figures.get("champion") or {}
    return {
        "verdict": move["verdict"],
        "reason": move["reason"],
        "against": move["from_version"],
        "rows": challenger.get("rows"),
        "correct": challenger.get("correct"),
        "champion_correct": champion.get("correct"),
        "majority_correct": figures.get("majority_correct"),
        "measured": figures.get("measured"),
    }
