"""Reading what a report tells, all of it from the tables."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine

from pima.core.evidence.figures import NO_CASES, share
from pima.core.evidence.subgroups import FEWEST_ROWS, shown
from pima.core.features import Outcome, names_of
from pima.core.leaning import Leaning, leaning
from pima.errors import ArtifactDamaged, SnapshotDamaged, SnapshotNotKept
from pima.monitoring.overview import overview
from pima.monitoring.realised import version_weeks
from pima.monitoring.weeks import by_monday
from pima.reporting.exhibits import Exhibit, exhibit
from pima.reporting.records import Card, Contents, Night, VerdictLine, Week
from pima.scorer import load_scorer
from pima.settings import Settings
from pima.store import registry, report_figures
from pima.store.declarations import as_features, newest_declaration
from pima.store.engine import clock, reading
from pima.store.monitoring import newest_figures
from pima.store.report_figures import CameTrue
from pima.store.unpredicted import rejected_by_pulls
from pima.train.snapshot import version_with_rows

NEWEST_OUTCOMES = 10_000
WEEKS_SHOWN = 26
NIGHTS_SHOWN = 60
VERDICTS_SHOWN = 52


def gather(engine: Engine, settings: Settings) -> Contents:
    """Everything that is known now."""
    stands = overview(engine, settings)
    champion, pinned = stands["champion"]["version"], stands["champion"]["pinned"]
    leans = None if champion is None else what_it_leans_on(engine, champion)
    with reading(engine) as connection:
        moves = registry.list_moves(connection)
        return Contents(
            made_at=clock(connection),
            outcome=_predicted(newest_declaration(connection).outcome),
            champion=None if champion is None else _card(connection, champion, pinned, moves),
            last_verdict=stands["champion"]["last_verdict"],
            verdicts=tuple(_verdicts(moves))[:VERDICTS_SHOWN],
            exhibits=tuple(_exhibits(connection, champion)),
            leaning=leans,
            realised=stands["realised"],
            weeks=tuple(by_week(report_figures.came_true(connection, NEWEST_OUTCOMES)))[:WEEKS_SHOWN],
            version_weeks=tuple(version_weeks(connection, WEEKS_SHOWN)),
            nights=tuple(_nights(connection)),
            new_rows=stands["new_rows"],
            monitoring=tuple(newest_figures(connection)),
            rejections=tuple(_rejections(connection)),
            queue=stands["queue"],
            sources=tuple(stands["sources"]),
        )


def _predicted(outcome: Outcome) -> str:
    return outcome.meaning or outcome.name.replace("_", " ")


def _card(connection: Connection, number: int, pinned: bool, moves: list[dict[str, Any]]) -> Card:
    found = registry.read_version(connection, number)
    assert found is not None  # noqa: S101 (a foreign key holds it)
    made = (move["decided_at"] for move in moves if move["to_version"] == number != move["from_version"])
    return Card(
        version=number,
        pinned=pinned,
        since=next(made, None),
        trained_at=found.created_at,
        training_rows=found.training_rows,
        first_labelled_at=found.first_labelled_at,
        last_labelled_at=found.last_labelled_at,
        network=str(found.settings["network"]),
        threshold=found.threshold,
        rows_left_out={reason: rows for reason, rows in found.rows_left_out.items() if rows},
        libraries=found.libraries,
        features=as_features(found.features),
    )


def _verdicts(moves: list[dict[str, Any]]) -> Iterator[VerdictLine]:
    for move in moves:
        if move["challenger"] is not None:
            challenger, champion = move["figures"].get("challenger"), move["figures"].get("champion")
            # A verdict from before there were other measures.
            by = move["figures"].get("measured") or {
                "measure": "accuracy",
                "challenger": (challenger or {}).get("accuracy"),
                "champion": (champion or {}).get("accuracy"),
            }
            yield VerdictLine(
                challenger=move["challenger"],
                against=move["from_version"],
                decided_at=move["decided_at"],
                verdict=move["verdict"],
                explanation=move["explanation"],
                rows=(challenger or {}).get("rows"),
                measure=by["measure"],
                of_challenger=by["challenger"],
                of_champion=by["champion"],
            )


def _exhibits(connection: Connection, champion: int | None) -> Iterator[Exhibit]:
    """That of the last verdict; before it the one that the champion of today was in last, where that is another."""
    found = report_figures.verdicts_with_evidence(connection)
    if not found:
        return
    last = found[0]
    of_champion = next((each for each in found if champion in (each.challenger, each.from_version)), last)
    for verdict in (of_champion, last) if of_champion is not last else (last,):
        document = registry.read_evidence(connection, verdict.challenger)
        names = {"challenger": f"version {verdict.challenger}", "champion": f"version {verdict.from_version}"}
        first = "champion" if verdict.from_version == champion is not None else "challenger"
        there = document and exhibit(document, verdict.decided_at, names, first)
        if there:
            yield there


def what_it_leans_on(engine: Engine, number: int) -> Leaning | None:
    """None where the version's bytes or its training rows can't be had, or too few of them for a mean."""
    try:
        scorer, (version, learned) = load_scorer(engine, number), version_with_rows(engine, number)
    except (ArtifactDamaged, SnapshotDamaged, SnapshotNotKept):
        return None
    found = leaning(scorer.model.probabilities, learned.features, names_of(scorer.features), version.seed)
    return found if found.rows >= FEWEST_ROWS else None


def by_week(found: Iterable[CameTrue]) -> Iterator[Week]:
    """Of outcomes newest first, the weeks in which there were any, from Monday to Sunday in UTC."""
    for week in by_monday(found, shown):
        yield _week(*week)


def _week(monday: date, found: list[CameTrue], is_shown: bool) -> Week:
    outcomes = len(found)
    if not is_shown:
        return Week(monday, outcomes, None, None, None, None)
    correct = sum(each.predicted_class == each.outcome for each in found)
    predicted = sum(each.probability for each in found) / outcomes
    observed = sum(each.outcome for each in found) / outcomes
    return Week(monday, outcomes, correct, share(correct, outcomes, NO_CASES), predicted, observed)


def _nights(connection: Connection) -> Iterator[Night]:
    for run in report_figures.last_nights(connection, NIGHTS_SHOWN):
        assert run.finished_at is not None  # noqa: S101 (they were asked for by it)
        seconds = (run.finished_at - run.started_at).total_seconds()
        rejected = run.counts.get("rejected", 0) + rejected_by_pulls(run.counts)
        yield Night(run.started_at, run.status, seconds, run.counts.get("predicted", 0), rejected)


def _rejections(connection: Connection) -> Iterator[tuple[str, str, int]]:
    found = report_figures.rejections_by_reason(connection)
    for (reason, field), rows in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        yield reason, field, rows
