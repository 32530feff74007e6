"""Sessions that the server ends while they are idle: a run that has done its work says so all the same."""

from contextlib import suppress

import pytest

from pima.errors import NoChampion, PimaError
from pima.process.recorded_run import recorded_run
from pima.settings.sections import DatabaseSettings
from pima.store.engine import make_engine
from tests.support.databases import Database

END_ALL = """
    SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@pytest.mark.parametrize(
    ("error", "ends_as"), [(None, ("succeeded", None)), (NoChampion(waiting="1 row"), ("refused", "no_champion"))]
)
def test_a_run_whose_idle_sessions_were_ended_is_closed(
    postgresql: Database, error: PimaError | None, ends_as: tuple[str, str | None]
) -> None:
    engine = make_engine(postgresql.url, DatabaseSettings())
    with suppress(NoChampion), recorded_run(engine, "score", None, dry_run=False):
        assert postgresql.execute(END_ALL) != []
        if error is not None:
            raise error
    engine.dispose()
    assert postgresql.execute("SELECT status, error_code FROM runs") == [ends_as]
