"""Nights under a real scheduler with a real receiver: the words in which people hear of a fault."""

import re
import socket

import pytest

from tests.support.alert_receiver import AlertReceiver
from tests.support.clinic import URL, Clinic
from tests.support.databases import Database, call, wait_for
from tests.support.ledger import insert_run
from tests.support.schedulers import EVERY_SECOND, stop

WRONG_UNIT = """\
60 of the 60 rows that were new or changed since TIME have no prediction (100.0%): 60 rejected by the pull of \
clinic (out of range: glucose).
Seen since TIME.
What to do: `python -m jobs.status` shows the reasons and columns; the tables `source_rejections` (of pulls) and \
`rejections` (of scoring) have each row. Has a unit or a column of the source changed? Correct `[source.columns]` or the \
source, then `python -m jobs.pull --full` and `python -m jobs.score`. For rows that were never queued `python -m \
jobs.requeue`, then `python -m jobs.score`. Declare an unknown code. For rows that are rightly rejected set a higher \
`health.most_without_prediction`.
More: docs/reference/errors.md#rows_without_prediction
Words: docs/understand/words.md"""
TOO_FEW_ROWS = """\
The last pull of clinic was refused (source_refused) N seconds ago; it said: The source clinic looks faulty: it has \
130 rows, and minimum_rows is 400. Nothing was changed. Look at the source. If it is right, change the setting that is \
named, and run this again.
Seen since TIME.
What to do: Put the cause right first: `python -m jobs.health --why source_refused` explains the code. Then `python -m \
jobs.pull`.
More: docs/reference/errors.md#pull_failed
Words: docs/understand/words.md"""


@pytest.mark.parametrize("copied", ["sqlite"], indirect=True)
def test_rows_that_a_pull_rejects_and_a_source_that_is_refused_are_told_in_words_that_help(
    scored_database: Database, sqlite_clinic: Clinic, listener: AlertReceiver
) -> None:
    database, clinic = scored_database, sqlite_clinic

    def told(condition: str) -> str:
        """The message about it, once it has come, without its times."""
        title = (
            f"pima on {socket.gethostname()} (outcome in {database.engine.url.database}): "
            f"{condition}"
        )
        wait_for(lambda: title in [each["title"] for each in listener.got], process)
        (message,) = [each["message"] for each in listener.got if each["title"] == title]
        aged = re.sub(r"\b\d+ seconds", "N seconds", message)
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME", aged)

    insert_run(database, "retrain", "succeeded")
    clinic.insert(70)
    clinic.pulled(database)
    assert call(database, "score").exit_code == 0  # a good night
    clinic.insert(60, seed=2, glucose_mmol=90)  # milligrams
    environ = {
        URL: clinic.url,
        "PIMA_ALERTS__URLS": listener.url,
        "PIMA_SCHEDULE__RETRAIN": "0 0 29 2 mon",
    }
    process = database.start(
        "scheduler", "--config", clinic.config, **environ, PIMA_SCHEDULE__SCORE=EVERY_SECOND
    )
    assert told("rows_without_prediction") == WRONG_UNIT
    clinic.settings["minimum_rows"] = 400
    assert clinic.config
    assert told("pull_failed:clinic") == TOO_FEW_ROWS
    stop(process)
