"""When outcomes are settled, and which predictions they judge."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from pima.core.outcomes.followed_up import FollowUp
from pima.intake.moments import moments
from pima.store.engine import clock, reading
from pima.store.models.registry import newest_declaration
from pima.store.rows.settled import SettledOutcomes, settled_outcomes
from pima.store.rows.settling import settling, week_of
from tests.support.databases import Database
from tests.support.declared import waiting
from tests.support.settled import NOW, ago, predict, row


def end_of_day(days: float) -> datetime:
    """How a day is kept: by its last moment."""
    return ago(days).replace(hour=23, minute=59, second=59, microsecond=999_000)


def settled(database: Database) -> list[tuple[str | None, datetime]]:
    """Why each labelled row is not settled, and when it is or will be."""
    with reading(database.engine) as connection:
        rule = settling(connection, newest_declaration(connection).outcome, clock(connection))
        found = connection.execute(
            text(f"SELECT {rule.unsettled or 'NULL'}, {rule.settled_at} FROM patients ORDER BY id")
        )
        return [(why, datetime.fromtimestamp(at / 1000, UTC)) for why, at in found]


def test_both_classes_settle_once_the_horizon_is_over(database: Database) -> None:
    waiting(database)
    row(database, ago(40), ago(38), outcome=1)
    row(database, ago(40), ago(5), outcome=0)
    row(database, ago(20), ago(18), outcome=1)
    assert settled(database) == [
        (None, ago(10)),
        (None, ago(5)),
        ("horizon_not_over", ago(-10)),
    ]


def test_a_row_with_an_unusable_index_never_settles(database: Database) -> None:
    waiting(database)
    rows = (
        (None, ago(1), "no_index_at"),
        (datetime(1900, 1, 1, tzinfo=UTC), ago(1), "no_index_at"),
        (ago(-2), ago(1), "index_at_to_come"),
        (ago(40), ago(40.01), "index_at_after_outcome"),
        # A day is over with its last moment, and an outcome of the same day did not come before it.
        (end_of_day(40), ago(40).replace(hour=0, minute=1), None),
        (end_of_day(40), ago(41), "index_at_after_outcome"),
        (end_of_day(0), ago(0), "horizon_not_over"),
    )
    for index, known, _ in rows:
        row(database, index, known)
    assert [why for why, _ in settled(database)] == [why for *_, why in rows]


@pytest.mark.parametrize(
    ("index", "first", "zone"),
    [
        (date(2025, 10, 26), "2025-10-26T00:00+02:00", "Europe/Zurich"),
        (date(2025, 3, 30), "2025-03-30T00:00+01:00", "Europe/Zurich"),
        (date(2018, 2, 17), "2018-02-17T00:00-02:00", "America/Sao_Paulo"),  # back at midnight
        (date(2018, 11, 4), "2018-11-04T01:00-02:00", "America/Sao_Paulo"),  # there is no midnight
    ],
)
def test_a_day_on_which_clocks_change_begins_with_its_first_moment(
    database: Database, index: date, first: str, zone: str
) -> None:
    waiting(database)
    (last,) = moments([index], ZoneInfo(zone)).milliseconds
    begins = datetime.fromisoformat(first)
    for known in (begins, begins - timedelta(milliseconds=1)):
        row(database, datetime.fromtimestamp(last / 1000, UTC), known)
    assert [why for why, _ in settled(database)] == [None, "index_at_after_outcome"]


def test_without_a_horizon_an_outcome_is_settled_once_it_is_known(database: Database) -> None:
    row(database, ago(-3), ago(1))
    row(database, None, ago(2))
    assert settled(database) == [(None, ago(1)), (None, ago(2))]


def found(database: Database, newest: int = 10_000) -> SettledOutcomes:
    with reading(database.engine) as connection:
        return settled_outcomes(connection, newest)


def test_an_outcome_judges_the_last_prediction_in_time_others_stand_apart(
    database: Database,
) -> None:
    waiting(database, within="3 days")
    database.execute(
        "INSERT INTO runs (job, trigger, attempt, status, counts, host, started_at, model_version)"
        " VALUES ('score', 'manual', 1, 'succeeded', '{}', 'here', :at, 1)",
        {"at": database.stored(ago(60))},
    )
    in_time = row(database, ago(50), ago(20), outcome=0)
    predict(database, in_time, ago(49), 0.1)
    predict(database, in_time, ago(47.5), 0.2)
    predict(database, in_time, ago(30), 0.3)  # it knows that nothing happened for three weeks
    before_its_index = row(database, ago(40), ago(39), outcome=1)
    predict(database, before_its_index, ago(41), 0.4)
    late = row(database, ago(45), ago(15), outcome=0)
    predict(database, late, ago(41), 0.5)
    row(database, ago(45), ago(44.9), outcome=1)  # early: it came before its prediction
    row(database, ago(90), ago(61), outcome=0)  # history
    waits = row(database, ago(20), ago(19), outcome=1)
    predict(database, waits, ago(19.5), 0.6)
    judged = found(database)
    assert [(each.over_at, each.outcome, each.probability) for each in judged.in_time] == [
        (ago(10), 1, 0.4),
        (ago(20), 0, 0.2),
    ]
    assert (judged.late, judged.early, judged.since) == (1, 1, None)


@pytest.mark.parametrize("horizon_days", [0, 30])
def test_the_newest_of_a_moment_leave_out_what_settled_later(
    database: Database, horizon_days: int
) -> None:
    if horizon_days:
        waiting(database)
    for days in range(1, 6):
        patient_id = row(database, ago(days + horizon_days), ago(days), outcome=days % 2)
        predict(database, patient_id, ago(days + horizon_days), days / 100)
    with reading(database.engine) as connection:
        newest = settled_outcomes(connection, 2, ago(2.5)).in_time
    assert [each.probability for each in newest] == [0.03, 0.04]


def test_the_newest_are_those_that_settled_last(database: Database) -> None:
    waiting(database)
    for days in range(31, 61):
        # The later ones became known sooner.
        patient_id = row(database, ago(days), ago(days - (days % 30) / 2), outcome=days % 2)
        predict(database, patient_id, ago(days + 1), days / 100)
    assert [each.probability for each in found(database, 3).in_time] == [0.31, 0.32, 0.33]
    assert found(database, 3).since == ago(3)
    assert found(database, 30).since == ago(30)
    assert len(found(database, 31).in_time) == 30


def test_rows_that_never_settle_take_no_place_among_the_newest(database: Database) -> None:
    waiting(database)
    for days in (31, 32):
        row(database, ago(days), ago(days + 1))  # its index came after its outcome
    for days in (50, 60, 70):
        patient_id = row(database, ago(days), ago(days - 1))
        predict(database, patient_id, ago(days), days / 100)
    assert [each.probability for each in found(database, 2).in_time] == [0.5, 0.6]


def counts_of(found: FollowUp) -> list[tuple[int, int]]:
    return [(day.rows, day.outcomes) for day in sorted(found.days, key=lambda each: each.number)]


def weeks_of(judged: SettledOutcomes) -> list[tuple[int, int]]:
    return [(each.rows, each.outcomes) for each in judged.follow_up.weeks]


def live(database: Database, day: float, known: int, at: datetime | None = None) -> list[int]:
    """Ten rows whose horizon was over so many days before noon of this week's Monday; of some the
    outcome is known by then, or at a moment."""
    monday = NOW.replace(hour=12) - timedelta(days=NOW.weekday())
    over = monday - timedelta(days=day)
    ids = []
    for n in range(10):
        outcome = over
        if n >= known and at is not None:
            outcome = at
        index = over - timedelta(days=30)
        ids.append(row(database, index, outcome if n < known or at is not None else None, n % 2))
        predict(database, ids[-1], index)
    return ids


def test_with_a_horizon_a_week_in_which_it_ends_that_lacks_outcomes_is_in_no_figure(
    database: Database,
) -> None:
    waiting(database)
    for day in range(7):
        live(database, 21 - day, 7)  # luck may do that to a day
        live(database, 28 - day, 10)
    judged = found(database)
    assert weeks_of(judged) == [(70, 49), (70, 70)]
    assert [each.is_finished for each in judged.follow_up.weeks] == [True, True]
    assert (len(judged.in_time), len(judged.left_out)) == (70, 49)
    assert not judged.counting.missing.any()
    assert {week_of(each.over_at) for each in judged.in_time} == {week_of(NOW) - 4}


def test_a_day_that_lacks_outcomes_is_left_out_of_its_week_and_what_is_missing_stands_apart(
    database: Database,
) -> None:
    waiting(database)
    for day, known in ((21, 10), (20, 9), (19, 10), (18, 10), (17, 5), (16, 10), (15, 10)):
        live(database, day, known)
    for day in range(7):
        live(database, 28 - day, 10)
    judged = found(database)
    assert (len(judged.in_time), len(judged.left_out)) == (129, 5)
    missing = judged.counting.only(judged.counting.missing > 0)
    assert (missing.missing, missing.expected_missing, missing.model_version) == (1, 0.25, 1)


def test_a_row_counts_in_the_week_in_which_its_horizon_ends_whenever_its_outcome_was_noted(
    database: Database,
) -> None:
    waiting(database)
    live(database, 28, 5, at=ago(7))
    judged = found(database).in_time
    assert {week_of(each.over_at) for each in judged} == {week_of(NOW) - 4}
    assert len({at for _, at in settled(database)}) == 2


def test_as_of_a_moment_what_came_after_it_counts_on_neither_side(database: Database) -> None:
    waiting(database)
    moment = ago(10)
    live(database, 40, 10)
    live(database, 41, 5, at=ago(5))
    came_since = live(database, 42, 0, at=ago(5))
    predicted_since = live(database, 43, 0)
    never_predicted = live(database, 44, 0)

    def of(ids: list[int]) -> str:
        return f"patient_id IN ({', '.join(map(str, ids))})"

    for since in (came_since, predicted_since):
        stored = {"at": database.stored(ago(4))}
        database.execute(f"UPDATE predictions SET scored_at = :at WHERE {of(since)}", stored)
    database.execute(f"DELETE FROM predictions WHERE {of(never_predicted)}")
    with reading(database.engine) as connection:
        then = settled_outcomes(connection, 10_000, moment).follow_up
        now = settled_outcomes(connection, 10_000).follow_up
    assert counts_of(then) == [(10, 0), (10, 5), (10, 10)]
    assert counts_of(now) == [(10, 0), (10, 0), (10, 10), (10, 10), (10, 10)]


def test_without_one_a_week_of_predictions_is_compared_with_what_is_usual(
    database: Database,
) -> None:
    for run, (days, known) in enumerate(((28, 8), (21, 8), (14, 5)), 1):
        database.execute(
            "INSERT INTO runs (id, job, trigger, attempt, status, counts, host, started_at)"
            " VALUES (:id, 'score', 'manual', 1, 'succeeded', :counts, 'here', :at)",
            {"id": 100 + run, "counts": '{"predicted": 10}', "at": database.stored(ago(days))},
        )
        for n in range(10):
            patient_id = row(database, None, ago(1) if n < known else None)
            predict(database, patient_id, ago(days))
        database.execute(f"UPDATE predictions SET run_id = {100 + run} WHERE run_id = 1")
    judged = found(database)
    assert weeks_of(judged) == [(10, 5), (10, 8), (10, 8)]
    assert (judged.follow_up.usual, judged.follow_up.is_of_few) == (0.8, False)
    assert (len(judged.in_time), len(judged.left_out)) == (16, 5)
